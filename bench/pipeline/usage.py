"""What processes have used: processor time and memory, by the system's own account."""

from collections.abc import Iterable, Iterator, Mapping

import psutil


def cpu_seconds(parts: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Processor seconds so far of each part's processes and their children, user and system."""
    return {part: sum(_cpu(process) for process in _family(pids)) for part, pids in parts.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The difference of two accounts, to a hundredth of a second."""
    return {part: round(seconds - before.get(part, 0.0), 2) for part, seconds in after.items()}


def resident_mb(pids: Iterable[int]) -> float:
    """Megabytes that the largest of the processes holds now."""
    held = [0.0]
    for pid in pids:
        try:
            held.append(psutil.Process(pid).memory_info().rss / 1e6)
        except psutil.NoSuchProcess:
            continue
    return max(held)


def _family(pids: Iterable[int]) -> Iterator["psutil.Process"]:
    for pid in pids:
        try:
            process = psutil.Process(pid)
            yield process
            yield from process.children(recursive=True)
        except psutil.NoSuchProcess:
            continue


def _cpu(process: "psutil.Process") -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
