"""Tables of a robustness report."""

from models.cli_output import figure, show, table
from models.robustness_report import Robustness, Steadiness


def show_robustness(report: Robustness) -> None:
    """Print what disturbance does, what names do, and which pairs are solved."""
    _show_disturbed(report)
    made = table(
        "Score over names (-1 to 1)",
        "lang", "slot", ">sentences", ">names", ">mean range", ">max range", ">std", ">labels turned", "pulled hardest",
    )  # fmt: skip
    for spread in report.names:
        worst = ", ".join(f"{name} {pull:+.2f}" for name, pull in spread.worst)
        figures = (spread.mean_range, spread.max_range, spread.mean_std, spread.turned)
        sizes = str(spread.sentences), str(spread.names)
        made.add_row(spread.lang, spread.slot, *sizes, *(figure(value) for value in figures), worst)
    show(made)
    made = table("Pairs of a good and a bad text", "lang", "kind", ">pairs", ">both labels right", ">good above bad")
    for pairs in report.pairs:
        made.add_row(pairs.lang, pairs.kind, str(pairs.n), figure(pairs.solved), figure(pairs.ordered))
    show(made)


def _show_disturbed(report: Robustness) -> None:
    made = table(
        "Rows disturbed: accuracy before and after, and share of answers that turned",
        "lang", "disturbance", ">n",
        ">sentiment", ">disturbed", ">turned", ">topic", ">disturbed", ">turned",
    )  # fmt: skip
    for line in report.disturbed:
        cells = (*_cells(line.sentiment), *_cells(line.topic))
        made.add_row(line.lang, line.name, str(line.sentiment.n), *cells)
    show(made)


def _cells(steady: Steadiness) -> tuple[str, str, str]:
    return figure(steady.clean), figure(steady.disturbed), figure(steady.flipped)
