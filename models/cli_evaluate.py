"""`newsquake model evaluate`: a checkpoint's figures on labelled files, beside its peers' and under disturbance."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.cli_output import (
    FIGURES,
    AsJson,
    Checkpoint,
    Device,
    Files,
    figure,
    head_cells,
    reported,
    settings_for,
    show,
    table,
)

if TYPE_CHECKING:
    from models.engine import Engine
    from models.evaluate import Evaluation, Sample
    from models.quality import HeadQuality
    from models.robustness_report import Robustness


def evaluate(
    files: Files,
    checkpoint: Checkpoint = None,
    device: Device = None,
    peers: Annotated[
        list[Path] | None,
        typer.Option(help="Also train the peers on this file and measure them on the same rows (extra `peers`)."),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also disturb the rows, swap names, and turn negations and numbers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a checkpoint on labelled files: accuracy, F1, calibration and abstention, by language and by file."""
    with reported():
        from models.engine import Engine
        from models.evaluate import answers_of, compare, read_sample

        if peers:
            from models.peers import require_packages

            require_packages()
        engine = Engine.load(settings_for(checkpoint, device))
        sample = read_sample(files, engine.topics)
        ours = compare(engine.model_id, sample, answers_of(engine, sample.rows))
        others = _measure_peers(peers, sample, engine.topics) if peers else []
        if as_json:
            disturbed = {"robustness": _disturb(engine, sample).as_dict()} if robustness else {}
            document = ours.as_dict() | ({"peers": [other.as_dict() for other in others]} if peers else {}) | disturbed
            typer.echo(json.dumps(document, ensure_ascii=False))
            return
        _show_figures([ours, *others])
        _show_binary([ours, *others])
        _show_confidence(ours)
        if robustness:
            from models.cli_robustness import show_robustness

            show_robustness(_disturb(engine, sample))


def _measure_peers(known: Sequence[Path], sample: "Sample", topics: Sequence[str]) -> list["Evaluation"]:
    from models.evaluate import compare
    from models.peers import PEERS
    from models.rows import MISSING, read_rows

    # A recipe's training file also holds crops without a label, which only a teacher can use.
    rows = [row for row in read_rows(known, topics) if row.sentiment != MISSING or row.topic != MISSING]
    return [compare(name, sample, peer(rows, sample.rows)) for name, peer in PEERS.items()]


def _disturb(engine: "Engine", sample: "Sample") -> "Robustness":
    from models.probes import load_probes
    from models.robustness_report import measure_robustness

    return measure_robustness(engine.probabilities, sample.rows, load_probes())


def _show_figures(results: Sequence["Evaluation"]) -> None:
    made = table("Labels", "rows", "head", "classifier", *FIGURES)
    for name, parts in _groups(results).items():
        for head in ("sentiment", "topic"):
            for result, figures in zip(results, parts, strict=True):
                for cells in head_cells(figures):
                    if cells[0] == head:
                        made.add_row(name, head, result.model_id, *cells[1:])
        made.add_section()
    show(made)


def _groups(results: Sequence["Evaluation"]) -> dict[str, list["HeadQuality"]]:
    """Return each classifier's figures for all rows, each language and, when there are several, each file."""
    first = results[0]
    groups = {"all": [result.overall for result in results]}
    groups |= {lang: [result.by_lang[lang] for result in results] for lang in first.by_lang}
    if len(first.by_file) > 1:
        groups |= {name: [result.by_file[name] for result in results] for name in first.by_file}
    return groups


def _show_binary(results: Sequence["Evaluation"]) -> None:
    if not results[0].binary:
        return
    made = table(
        "Good told from bad by the score's sign, where no row is neutral",
        "rows", "classifier", ">n", ">accuracy", ">AUC",
    )  # fmt: skip
    for name in results[0].binary:
        for result in results:
            found = result.binary[name]
            made.add_row(name, result.model_id, str(found.n), figure(found.accuracy), figure(found.auc))
        made.add_section()
    show(made)


def _show_confidence(ours: "Evaluation") -> None:
    if not ours.reliability:
        return
    made = table("Stated confidence and accuracy found, sentiment", "confidence", ">n", ">stated", ">found")
    for line in ours.reliability:
        stated = f"{line.low:.1f} to {line.high:.1f}"
        made.add_row(stated, str(line.n), figure(line.confidence), figure(line.accuracy))
    show(made)
    made = table("When less certain answers are withheld, sentiment", ">from", ">n", ">coverage", ">accuracy")
    for kept in ours.risk_coverage:
        accuracy = figure(kept.accuracy if kept.n else None)
        made.add_row(f"{kept.threshold:.1f}", str(kept.n), figure(kept.coverage), accuracy)
    show(made)
