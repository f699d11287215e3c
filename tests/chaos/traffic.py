"""Numbered messages into Kafka, and what Kafka acknowledged of them.

Every message carries its number where it can be read whatever becomes of it: a good one in its `id`, a malformed one in
its raw bytes or else in its key.
"""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

Partition = tuple[str, int]

_LARGEST = 64 << 20  # bytes of one value; topics bound the compressed size
_FLUSH_SECONDS = 90.0
_NUMBER = re.compile(rb"chaos-(\d+)")
_SAYINGS = ("Profit rose {n} percent", "Customers queue at branch {n}", "公司第{n}季度净利润同比下降")


def number_of(value: bytes | None, key: bytes | None) -> int | None:
    """The number that a record carries."""
    found = _NUMBER.search((value or b"")[:400]) or _NUMBER.search(key or b"")
    return int(found[1]) if found else None


def _fields(number: int, **fields: object) -> bytes:
    return json.dumps({"id": f"chaos-{number}", "source": "wire", "text": "Profit rose.", **fields}).encode()


MALFORMED: tuple[Callable[[int], bytes | None], ...] = (
    lambda number: b"{chaos-%d" % number,
    lambda number: b'{"id":"chaos-%d\xff\xfe"}' % number,
    lambda number: _fields(number, published_at="2026-03-10T12:00:00"),
    lambda number: _fields(number, published_at="9999-12-31T23:59:59-23:00"),
    lambda number: _fields(number, published_at="2026-03-10T12:00:00Z", text="null \0 character"),
    lambda number: b'{"id":"chaos-%d","x":' % number + b"[" * 20_000,
    lambda number: None,
)
"""Values that must become dead letters, by number; a tombstone has its number in the key alone."""

LARGE: tuple[Callable[[int], bytes | None], ...] = (  # brokers bound the compressed size: the last is 80 kB to them
    lambda number: _fields(number, published_at="2026-03-10T12:00:00Z", text="x" * 8_000_000),
    lambda number: b"chaos-%d" % number + bytes(2_000_000),
    lambda number: b"chaos-%d" % number + b"\xf0\x9f" * 4_000_000,
    lambda number: b"chaos-%d" % number + bytes(20_000_000),
)


class Traffic:
    """Sends messages with acks=all, straight to the broker; counts those that Kafka acknowledged.

    `repeats` is the share of messages that are sent twice, half of those by another partition.
    """

    def __init__(
        self,
        broker: str,
        topics: Sequence[str],
        rng: Random,
        *,
        malformed: float = 0.04,
        repeats: float = 0.05,
    ) -> None:
        self._producer: Any = KafkaProducer(
            bootstrap_servers=broker,
            acks="all",
            compression_type="lz4",
            linger_ms=10,
            max_request_size=_LARGEST,
            request_timeout_ms=5_000,
        )
        self._topics = topics
        self._rng = rng
        self._malformed = malformed
        self._repeats = repeats
        self._start = datetime.now(UTC) - timedelta(minutes=30)
        self._lock = threading.Lock()
        self._pending: list[Any] = []
        self.sent = 0
        self.bad_sent: set[int] = set()
        self.good: set[int] = set()
        self.bad: set[int] = set()
        self.offsets: dict[Partition, dict[int, int]] = defaultdict(dict)
        self._former: list[tuple[Partition, dict[int, int]]] = []

    @property
    def acknowledged(self) -> int:
        """How many messages Kafka has acknowledged, each number once."""
        return len(self.good) + len(self.bad)

    def ends(self) -> dict[Partition, int]:
        """The offset after the last acknowledged message of each partition."""
        with self._lock:
            return {partition: max(offsets) + 1 for partition, offsets in self.offsets.items()}

    def known(self, partition: Partition) -> list[tuple[int, int]]:
        """(offset, number) of the acknowledged messages of a partition, in order."""
        with self._lock:
            return sorted(self.offsets[partition].items())

    def forget(self, topic: str) -> None:
        """The topic was deleted; its offsets mean nothing any more."""
        with self._lock:
            for partition in [partition for partition in self.offsets if partition[0] == topic]:
                self._former.append((partition, self.offsets.pop(partition)))

    def places(self, numbers: set[int]) -> list[str]:
        """Where messages were, by partition: how many of them, and the first and last offset."""
        found = []
        with self._lock:
            logs = [(f"{t}/{p} before its deletion", log) for (t, p), log in self._former]
            logs += [(f"{t}/{p}", log) for (t, p), log in sorted(self.offsets.items())]
        for name, log in logs:
            offsets = sorted(offset for offset, number in log.items() if number in numbers)
            if offsets:
                found.append(f"{len(offsets)} in {name} ({offsets[0]}..{offsets[-1]} of {min(log)}..{max(log)})")
        return found

    def excuse(self, partition: Partition, first: int, end: int) -> None:
        """The broker itself drops the offsets from `first` to before `end`: what was there alone need not be stored."""
        with self._lock:
            dropped = {at: number for at, number in self.offsets[partition].items() if first <= at < end}
            for at in dropped:
                del self.offsets[partition][at]
            gone = set(dropped.values()) - {number for log in self.offsets.values() for number in log.values()}
            self.good -= gone
            self.bad -= gone

    def was_at(self, place: tuple[str, int, int], number: int) -> bool:
        """Whether this number stood there, as far as Kafka has told what stood there."""
        topic, partition, offset = place
        with self._lock:
            logs = [self.offsets[topic, partition], *(log for at, log in self._former if at == (topic, partition))]
            known = {log[offset] for log in logs if offset in log}
        return number in known or not known

    def send(self, count: int) -> None:
        """Hand `count` new messages to the producer."""
        for _ in range(count):
            self._send_one()

    def poison(self, count: int, kinds: Sequence[Callable[[int], bytes | None]]) -> None:
        """Hand over `count` malformed messages in a row."""
        for _ in range(count):
            self._send_bad(self._next_number(), kinds)

    def flush(self) -> None:
        """Wait until Kafka has taken everything that was sent; what it refused for good is not counted."""
        self._producer.flush(timeout=_FLUSH_SECONDS)

    @contextmanager
    def flowing(self, rate: float) -> Iterator[None]:
        """Send `rate` messages a second, in bursts, while the body runs."""
        stop = threading.Event()
        rng = Random(self._rng.random())

        broken: list[Exception] = []

        def flow() -> None:
            try:
                while not stop.is_set():
                    pause = rng.uniform(0.05, 0.4)
                    self.send(int(pause * rate))
                    stop.wait(pause)
            except Exception as error:
                broken.append(error)

        thread = threading.Thread(target=flow, name="traffic", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(2 * _FLUSH_SECONDS)
        if broken:
            raise broken[0]
        if thread.is_alive():
            raise TimeoutError("the traffic does not come to its end")

    def close(self) -> None:
        self._producer.close(timeout=1)

    def _send_one(self) -> None:
        rng, number = self._rng, self._next_number()
        if rng.random() < self._malformed:
            self._send_bad(number, MALFORMED)
            return
        topic = rng.choice(self._topics)
        source = f"wire-{rng.randrange(40)}"
        value = self._value(number, source)
        self._hand_over(topic, source.encode(), value, number, self.good)
        if rng.random() < self._repeats:
            key = source.encode() if rng.random() < 0.5 else b"another"
            self._hand_over(topic, key, value, number, self.good)

    def _send_bad(self, number: int, kinds: Sequence[Callable[[int], bytes | None]]) -> None:
        self.bad_sent.add(number)
        value = self._rng.choice(kinds)(number)
        self._hand_over(self._rng.choice(self._topics), b"chaos-%d" % number, value, number, self.bad)

    def _next_number(self) -> int:
        with self._lock:
            self.sent += 1
            return self.sent - 1

    def _value(self, number: int, source: str) -> bytes:
        at = self._start + timedelta(seconds=0.3 * number)
        text = _SAYINGS[number % len(_SAYINGS)].format(n=number)
        fields = {"id": f"chaos-{number}", "source": source, "published_at": at.isoformat(), "text": text}
        return json.dumps(fields).encode()

    def _hand_over(self, topic: str, key: bytes, value: bytes | None, number: int, into: set[int]) -> None:
        deadline = time.monotonic() + _FLUSH_SECONDS
        while True:
            try:
                sent = self._producer.send(topic, key=key, value=value)
                break
            except KafkaError:  # no metadata: the broker is away, or the topic is
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        sent.add_callback(partial(self._acknowledged, number, into))

    def _acknowledged(self, number: int, into: set[int], metadata: Any) -> None:
        with self._lock:
            into.add(number)
            self.offsets[metadata.topic, metadata.partition][metadata.offset] = number
