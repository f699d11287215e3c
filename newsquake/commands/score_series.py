"""`newsquake alerts score-series`: the volume test over a count series of anyone's."""

import os
from pathlib import Path
from typing import Annotated

import typer

from newsquake.commands.output import AsJson, print_json
from newsquake.commands.progress import ProgressBar
from newsquake.errors import NewsquakeError


def score_series(
    file: Annotated[
        Path, typer.Argument(help="CSV with `timestamp,value`, plain or .gz; any step.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV to write: `timestamp,value,anomaly_score`.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Score each row of a count series 0..1 with the volume test, from the rows up to it alone.

    A score of 0.5 means that one row in a thousand is as surprising. It is highest at the onset of a spike and falls
    while the spike lasts. Time stamps without an offset are UTC.
    """
    from alerts.count_files import read_series, write_scores
    from alerts.count_series import score
    from newsquake.exports import whole_file

    series = read_series(file)
    if out.exists() and os.path.samefile(file, out):
        raise typer.BadParameter("it is the file that is read", param_hint="--out")
    with ProgressBar(file.name, len(series.stamps)) as bar:
        scores = score(series.seconds, series.values, progress=bar.reach)
    try:
        with whole_file(out) as target:
            write_scores(target, series, scores)
    except OSError as error:
        raise NewsquakeError(f"{out} cannot be written: {error.strerror or error}") from error
    highest = int(scores.argmax())
    if as_json:
        top = {
            "timestamp": series.stamps[highest],
            "value": float(series.values[highest]),
            "score": float(scores[highest]),
        }
        print_json({"out": str(out), "rows": scores.size, "highest": top})
        return
    typer.echo(f"{scores.size:,} rows in {out}; the highest score is {scores[highest]:.3f} at {series.stamps[highest]}")
