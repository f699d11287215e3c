"""How fast documents come in: all ways by size of the batch, in turns on one server, and one to four writers at once.

Rounds alternate, each with documents of its own that every way stores; what the machine does beside the benchmark so
falls on all alike. Documents are made before the clock starts. They are of the day after those that are stored already.
"""

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine

from bench.engine.remote import Remote
from bench.engine.rounds import Watch, rotated
from bench.storage.documents import live
from bench.storage.ways import WAYS, ways
from storage.engine import open_engine
from storage.settings import StorageSettings
from storage.writer import BatchWriter, ScoredDocument

STANDARD = 512
"""Documents in a batch where nothing else is said."""


class Source:
    """Batches that nobody has stored yet."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._drawn = 0
        self.made = 0
        """Documents so far."""

    def batches(self, count: int, size: int) -> list[list[ScoredDocument]]:
        """`count` batches of `size` documents."""
        self._drawn += 1
        self.made += count * size
        made = live(self._start, count * size, self._drawn)
        return [made[at : at + size] for at in range(0, len(made), size)]


def by_size(
    engine: Engine, source: Source, sizes: Sequence[int], *, documents: int, rounds: int, watch: Watch
) -> dict[int, dict[str, list[float]]]:
    """Documents a second of every round, by size of the batch and way; a round that warms up is not counted.

    A turn of the standard size stores `documents`, one of another size fewer where batches are small.
    """
    known, found = ways(engine), {size: {way: list[float]() for way in WAYS} for size in sizes}
    total = len(sizes) * (rounds + 1) * len(WAYS)
    done = 0
    for number in range(rounds + 1):
        for size in sizes:
            batches = source.batches(max(2, min(documents, documents * size // STANDARD) // size), size)
            for way in rotated(WAYS, number):
                watch("ingest", done, total)
                done += 1
                began = time.perf_counter()
                for batch in batches:
                    known[way](batch)
                rate = len(batches) * size / (time.perf_counter() - began)
                if number:
                    found[size][way].append(rate)
    watch("ingest", total, total)
    return found


def sustained(engine: Engine, source: Source, documents: int, watch: Watch) -> float:
    """Documents a second of the writer in batches of the standard size, over the second half of so many documents.

    The first half brings the pages of the keys' index into memory: few batches touch most of them for the first time
    since the server's last checkpoint, which then go into its log whole.
    """
    writer = BatchWriter(engine, "bench")
    took, count = list[float](), -(-documents // STANDARD)
    for batch in source.batches(count, STANDARD):
        watch("sustained", len(took), count)
        began = time.perf_counter()
        writer.write(batch)
        took.append(time.perf_counter() - began)
    watch("sustained", count, count)
    return STANDARD * (count - count // 2) / sum(took[count // 2 :])


def figures(rates: Sequence[float]) -> dict[str, Any]:
    """The median and the range of rounds."""
    return {"docs_per_s": statistics.median(rates), "lowest": min(rates), "highest": max(rates), "rounds": len(rates)}


class Writer:
    """One writer in a process of its own."""

    def __init__(self, url: str, start: datetime, seed: int, documents: int) -> None:
        self._engine = open_engine(StorageSettings(url=SecretStr(url)), application="newsquake bench")
        self._writer = BatchWriter(self._engine, "bench")
        made = live(start, documents, seed)
        self._batches = [made[at : at + STANDARD] for at in range(0, len(made), STANDARD)]
        self._writer.write(self._batches.pop())  # connects, and plans its statements

    def write(self) -> int:
        """Store everything."""
        return sum(self._writer.write(batch) for batch in self._batches)


def at_once(
    url: str, start: datetime, counts: Sequence[int], documents: int, log: Path, watch: Watch
) -> dict[int, float]:
    """Documents a second of so many writers together, from the start of the first to the end of the last."""
    found = {}
    for done, count in enumerate(counts):
        watch("writers", done, len(counts))
        with ExitStack() as stack:
            seeds = [1_000_000 + 10 * done + number for number in range(count)]
            writers = [stack.enter_context(Remote(Writer, url, start, seed, documents, log=log)) for seed in seeds]
            threads = stack.enter_context(ThreadPoolExecutor(count))
            began = time.perf_counter()
            stored = sum(threads.map(lambda writer: writer.call("write"), writers))
            found[count] = stored / (time.perf_counter() - began)
    watch("writers", len(counts), len(counts))
    return found
