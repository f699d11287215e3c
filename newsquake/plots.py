"""Trends as a picture: one panel a topic, messages as bars and the negative share as a line over event time (UTC)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsquake.errors import ExtraMissing, NewsquakeError
from newsquake.exports import whole_file

if TYPE_CHECKING:
    from storage.trends import Trend

PANELS = 8
"""Topics in a picture: those with most messages."""

FORMATS = ("png", "svg", "pdf")
_NEGATIVE, _OTHER, _LINE = "#c0392b", "#c8ccd0", "#1f3a5f"


def need_matplotlib() -> None:
    """Say at once what is missing.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ExtraMissing("--plot needs matplotlib: pip install 'newsquake[plot]'") from None


def plot_trends(found: "Sequence[Trend]", window: tuple[datetime, datetime], step: timedelta, path: Path) -> None:
    """Draw the trends into `path`, whose ending says how: .png, .svg or .pdf.

    Raises:
        ExtraMissing: matplotlib is not installed.
        NewsquakeError: the file cannot be written.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    shown = found[:PANELS]
    columns = 1 if len(shown) < 3 else 2
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(6.4 * columns, 2.6 * rows + 0.8), layout="constrained", dpi=120)
    title = f"{window[0]:%Y-%m-%d %H:%M} to {window[1]:%Y-%m-%d %H:%M} UTC (event time)"
    figure.suptitle(title if len(shown) == len(found) else f"{title}, {len(shown)} of {len(found)} topics")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).flat
    for panel, trend in zip(panels, shown, strict=False):
        _draw(panel, trend, window[0], step)
    named: dict[str, Any] = {}  # once, though each panel has them
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        named |= zip(labels, handles, strict=True)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named), fontsize=8, frameon=False)
    for panel in list(figure.axes)[len(shown) : rows * columns]:
        panel.set_visible(False)
    _save(figure, path)


def _draw(panel: Any, trend: "Trend", start: datetime, step: timedelta) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.ticker import PercentFormatter

    # Numbers, not datetimes: matplotlib would look a converter up for each series.
    times = [float(date2num(start + number * step)) for number in range(len(trend.n_by_bucket))]
    width = step / timedelta(days=1)
    others = [n - negative for n, negative in zip(trend.n_by_bucket, trend.negative_by_bucket, strict=True)]
    bars: dict[str, Any] = {"width": width, "align": "edge", "linewidth": 0}
    panel.bar(times, trend.negative_by_bucket, color=_NEGATIVE, label="negative", **bars)
    panel.bar(times, others, bottom=trend.negative_by_bucket, color=_OTHER, label="other", **bars)
    panel.set_title(f"{trend.topic}: {trend.n:,} messages, {trend.negative_share:.0%} negative", fontsize=10)
    panel.xaxis.set_major_locator(locator := AutoDateLocator())
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    panel.tick_params(labelsize=8, labelbottom=True)
    panel.set_ylabel("messages", fontsize=8)
    panel.set_xlim(times[0], times[-1] + width)
    share = panel.twinx()
    known = [
        (at + width / 2, negative / n)
        for at, n, negative in zip(times, trend.n_by_bucket, trend.negative_by_bucket, strict=True)
        if n
    ]
    share.plot(*zip(*known, strict=True), color=_LINE, linewidth=1.2, marker=".", markersize=3, label="negative share")
    share.set_ylim(0, 1)
    share.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    share.tick_params(labelsize=8, labelcolor=_LINE)


def _save(figure: Any, path: Path) -> None:
    try:
        with whole_file(path) as out:
            figure.savefig(out, format=path.suffix.lstrip(".").lower())
    except OSError as error:
        raise NewsquakeError(f"{path} cannot be written: {error.strerror or error}") from error
