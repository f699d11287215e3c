"""The status line: what it says, and how fast it thinks documents come."""

import io

from rich.console import Console

from newsquake.stack.status import Figures, Rate, Screen, status_line


def test_the_line_has_uptime_documents_rate_lag_alerts_and_parts() -> None:
    line = status_line(3_725, Figures(12_345, 67, 1), 89.4, "worker 11, scheduler 12")
    assert line == "up 1:02:05 · 12,345 documents · 89/s · lag 67 · 1 open alert · worker 11, scheduler 12"


def test_a_silent_database_is_said_so() -> None:
    assert "the database does not answer" in status_line(1, None, 0, "worker 11")


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    rate = Rate()
    for second in range(60):
        rate.add(float(second), 100 * second)
    rates = [rate.add(float(second), 5_900) for second in range(60, 75)]
    assert 0 < rates[0] < 100
    assert rates[-1] == 0


def test_without_a_terminal_the_figures_come_every_ten_seconds() -> None:
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=False)) as screen:
        for second in range(100, 125):
            screen.show(f"line {second}", float(second))
    assert out.getvalue().splitlines() == ["line 100", "line 110", "line 120"]


def test_a_childs_line_is_printed_as_it_is() -> None:
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=False, width=20)) as screen:
        screen.say("[bold]not markup[/bold] and far longer than the terminal is wide")
    assert out.getvalue() == "[bold]not markup[/bold] and far longer than the terminal is wide\n"
