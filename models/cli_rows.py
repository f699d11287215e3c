"""`newsquake model agreement` and `duplicates`: can labelled rows be trusted, before anything learns from them?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from models.cli_output import AsJson, Files, figure, reported, show, table

if TYPE_CHECKING:
    from models.agreement import Agreement
    from models.duplicates import NearPair
    from models.evaluate import Sample

_SHOWN = 10
_CUT = 90


def agreement(
    first: Annotated[Path, typer.Argument(help="One labeller's rows.")],
    second: Annotated[Path, typer.Argument(help="The other's: the same texts, in any order.")],
    as_json: AsJson = False,
) -> None:
    """Compare two labellers of the same texts: accuracy, Cohen's kappa and who said what."""
    with reported():
        from models.agreement import agreement as compare
        from models.rows import read_rows

        found = compare(read_rows([first]), read_rows([second]))
        if as_json:
            typer.echo(json.dumps({head: figures.as_dict() for head, figures in found.items()}, ensure_ascii=False))
            return
        made = table(f"{first.name} and {second.name}", "label", ">n", ">accuracy", ">kappa")
        for head, figures in found.items():
            made.add_row(head, str(figures.n), figure(figures.accuracy), figure(figures.kappa))
        show(made)
        for head, figures in found.items():
            _show_quarrels(head, figures)


def duplicates(
    files: Files,
    threshold: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Share of common 5-grams from which two rows are alike.")
    ] = 0.6,
    max_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Exit with 1 when more of the rows than this have a near-duplicate.")
    ] = 0.02,
    as_json: AsJson = False,
) -> None:
    """Find rows that nearly repeat each other, within and across files; the closest pairs are shown."""
    with reported():
        from models.duplicates import near_duplicates, share_with_duplicate
        from models.evaluate import read_sample

        sample = read_sample(files)
        pairs = near_duplicates(sample.rows, threshold)
        share = share_with_duplicate(pairs, len(sample.rows))
        worst = [_told(sample, pair) for pair in pairs[:_SHOWN]]
        if as_json:
            document = {"rows": len(sample.rows), "pairs": len(pairs), "share": round(share, 4)}
            typer.echo(json.dumps(document | {"worst": worst}, ensure_ascii=False))
        else:
            typer.echo(f"{len(sample.rows)} rows, {len(pairs)} near pairs, {share:.2%} of the rows in one")
            _show_pairs(worst)
        if share > max_share:
            typer.echo(f"error: {share:.1%} of the rows have a near-duplicate, more than {max_share:.1%}", err=True)
            raise typer.Exit(1)


def _show_quarrels(head: str, figures: "Agreement") -> None:
    apart = [
        (int(figures.confusion[at, to]), first, second)
        for at, first in enumerate(figures.names)
        for to, second in enumerate(figures.names)
        if at != to and figures.confusion[at, to]
    ]
    if not apart:
        return
    made = table(f"Where they differ, {head}", "first says", "second says", ">texts")
    for count, one, other in sorted(apart, reverse=True)[:_SHOWN]:
        made.add_row(one, other, str(count))
    show(made)


def _told(sample: "Sample", pair: "NearPair") -> dict[str, Any]:
    both = (pair.first, pair.second)
    files, texts = [sample.files[at] for at in both], [sample.rows[at].text for at in both]
    return {"overlap": round(pair.overlap, 4), "files": files, "texts": texts}


def _show_pairs(worst: list[dict[str, Any]]) -> None:
    if not worst:
        return
    made = table("Closest pairs", ">overlap", "files", "texts")
    for pair in worst:
        made.add_row(
            figure(pair["overlap"]),
            "\n".join(pair["files"]),
            "\n".join(escape(" ".join(text.split())[:_CUT]) for text in pair["texts"]),
        )
    show(made)
