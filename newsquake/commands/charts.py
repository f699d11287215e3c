"""Plots in a terminal: sparklines of one line, and charts with axes, of characters alone."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

_BARS = "▁▂▃▄▅▆▇█"
HEIGHT = 6
"""Lines of a chart's bars."""


def sparkline(values: Sequence[int]) -> str:
    """Bars from zero to the largest value; a space where there is nothing."""
    top = max(values, default=0)
    return "".join(_BARS[-(-value * 7 // top)] if value else " " for value in values)


def bars(values: Sequence[float], height: int, width: int = 1) -> list[str]:
    """Columns `height` lines high, top line first, each `width` characters wide; what is not zero shows."""
    top = max(values, default=0) or 1
    eighths = [max(1, round(value / top * height * 8)) if value else 0 for value in values]
    return [
        "".join((" " + _BARS)[min(8, max(0, eighth - 8 * below))] * width for eighth in eighths)
        for below in reversed(range(height))
    ]


def chart(
    values: Sequence[float], start: datetime, step: timedelta, *, form: str, columns: int = 80, height: int = HEIGHT
) -> list[str]:
    """Bars with the scale at their left and times (UTC) under them; `form` formats the scale, as `,.0f` does.

    Bars are as wide as fit into `columns`, and one character at least.
    """
    top = max(values, default=0)
    marks = {0: format(top, form), height - 1: format(0, form)}
    if height > 3:
        marks[height // 2 - 1 if height % 2 == 0 else height // 2] = ""
    gutter = max(map(len, marks.values()))
    width = max(1, (columns - gutter - 2) // max(1, len(values)))
    lines = [
        f"{marks.get(number, ''):>{gutter}} ┤{line}".rstrip() for number, line in enumerate(bars(values, height, width))
    ]
    return [*lines, *(" " * (gutter + 1) + line for line in _axis(len(values), width, start, step))]


def _axis(count: int, width: int, start: datetime, step: timedelta) -> Iterator[str]:
    """A line with a tick at every label, and the labels: as many as have room."""
    shape = "%m-%d" if step >= timedelta(days=1) else "%m-%d %H:%M" if step * count > timedelta(days=1) else "%H:%M"
    room = len(start.strftime(shape)) + 2
    every = -(-room // width)
    ticks, labels = "└", " "
    for number in range(0, count, every):
        cells = min(every, count - number) * width
        ticks += ("┬" + "─" * (cells - 1)) if cells else ""
        label = (start + number * step).strftime(shape)
        labels += f"{label:<{every * width}}" if cells >= len(label) or number == 0 else ""
    yield ticks
    yield labels.rstrip()
