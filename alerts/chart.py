"""A picture of an alert: negatives and other messages over the last hours, what was expected, the window that fired.

Drawn when a message is delivered to a channel that takes pictures, from the counts as they are then. Needs matplotlib
(the extra `plot`); without it, messages go without pictures.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection

from alerts.phrases import PHRASES
from alerts.printable import clean
from alerts.series import ALL, HOUR, MINUTE, Count, Part, Series, floor_hour
from alerts.views import view_of

_BAR, _SPAN = 5 * MINUTE, timedelta(hours=6)
_LONG = timedelta(hours=3)  # windows from here on are drawn by the hour, three of their lengths
_NEGATIVE, _OTHER, _EXPECTED, _WINDOW = "#c0392b", "#c8ccd0", "#1f3a5f", "#e08e0b"
_CHINESE = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "PingFang SC",
            "Microsoft YaHei", "SimHei", "Noto Sans SC", "Droid Sans Fallback")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bars:
    """Counts of a series by bars of `step` from `start` on; `expected` negatives a bar; the window that fired."""

    start: datetime
    step: timedelta
    n: tuple[int, ...]
    negative: tuple[int, ...]
    expected: float
    window: tuple[datetime, datetime]


def picture(connection: Connection, payload: dict[str, Any], title: str, language: str = "en") -> bytes | None:
    """A PNG of about 1000 by 400 pixels for the change of `alerts.payload`; None where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return None
    return draw(read_bars(connection, payload), title, language)


def read_bars(connection: Connection, payload: dict[str, Any]) -> Bars:
    """Six hours by five minutes up to the change; of a window of hours, three of its lengths by the hour.

    They are of the series whose window the message tells of, which need not be the one that leads the episode.
    """
    told = payload["reasons"]
    entity = told.get("entity", ALL)
    part = Part(tuple(told.get("languages", ())), tuple(told.get("source_patterns", ())))
    view, names = view_of(part, () if entity == ALL else (entity,)), None if entity == ALL else [entity]
    end, length = datetime.fromisoformat(payload["at"]) + MINUTE, payload["window_minutes"] * MINUTE
    step, span = (HOUR, 3 * length) if length >= _LONG else (_BAR, _SPAN)
    start = _floor(end - span, step)
    read = view.hours if step == HOUR else view.minutes
    bars = -(-(end - start) // step)
    n, negative = [0] * bars, [0] * bars
    for count in read(connection, start, end, names):
        if _belongs(count, Series(told["topic"], told["stream"], entity)):
            n[(count.at - start) // step] += count.n
            negative[(count.at - start) // step] += count.negative
    expected = payload["expected"] * (step / length)
    return Bars(start, step, tuple(n), tuple(negative), expected, (end - length, end))


def draw(bars: Bars, title: str, language: str = "en") -> bytes:
    """The picture as PNG. English words where no font of this machine has Chinese ones."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    fonts, title = _fonts(), clean(title, 120)
    if len(fonts) == 1 and not title.isascii():
        language, title = "en", "".join(char if char.isascii() else "·" for char in title)
    words = PHRASES[language if len(fonts) > 1 else "en"].chart
    figure = Figure(figsize=(8.4, 3.4), layout="constrained", dpi=120)
    axes = figure.subplots()
    times = [float(date2num(bars.start + number * bars.step)) for number in range(len(bars.n))]
    shape: dict[str, Any] = {"width": bars.step / timedelta(days=1), "align": "edge", "linewidth": 0}
    others = [n - negative for n, negative in zip(bars.n, bars.negative, strict=True)]
    axes.axvspan(*(float(date2num(at)) for at in bars.window), color=_WINDOW, alpha=0.18, lw=0, label=words["window"])
    axes.bar(times, bars.negative, color=_NEGATIVE, label=words["negatives"], **shape)
    axes.bar(times, others, bottom=bars.negative, color=_OTHER, label=words["others"], **shape)
    axes.axhline(bars.expected, color=_EXPECTED, linewidth=1.2, linestyle="--", label=words["expected"])
    axes.set_xlim(times[0], times[-1] + shape["width"])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(locator := AutoDateLocator())
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_title(f"{title} (UTC)", fontsize=10, fontfamily=fonts, parse_math=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, prop={"family": fonts, "size": 8})
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _belongs(count: Count, series: Series) -> bool:
    """What is about everything is the sum of all topics, or given as such."""
    return (series.whole or count.name == series.name) and series.stream in (ALL, count.stream)


def _floor(at: datetime, step: timedelta) -> datetime:
    hour = floor_hour(at)
    return hour + (at - hour) // step * step


@cache
def _fonts() -> Sequence[str]:
    """Fonts in the order in which their characters are looked up: the default, and a Chinese one where there is one."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would name its font cache
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *[name for name in _CHINESE if name in there][:1]]
