"""The dead-letter topic as its reader sees it."""

import time
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tests.chaos.traffic import number_of

_LARGEST = 64 << 20


class Letters:
    """Every dead letter so far. A letter may come more than once: its coordinates say which one it is."""

    def __init__(self, broker: str, topic: str) -> None:
        self._consumer: Any = KafkaConsumer(
            bootstrap_servers=broker,
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_LARGEST,
            fetch_max_bytes=_LARGEST,
        )
        self._partition = TopicPartition(topic, 0)
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, 0)
        self.numbers: set[int] = set()
        self.places: dict[tuple[str, int, int], int] = {}

    def catch_up(self, seconds: float = 15.0) -> bool:
        """Read to the end as it is now; False where the broker does not let us."""
        deadline = time.monotonic() + seconds
        try:
            end = self._consumer.end_offsets([self._partition])[self._partition]
            while self._consumer.position(self._partition) < end:
                if time.monotonic() > deadline:
                    return False
                for records in self._consumer.poll(200).values():
                    self._take(records)
        except KafkaError:
            return False
        return True

    def close(self) -> None:
        with suppress(KafkaError):
            self._consumer.close()

    def _take(self, records: list[Any]) -> None:
        for record in records:
            headers = {name: value.decode() for name, value in record.headers}
            if (number := number_of(record.value, record.key)) is not None:
                self.numbers.add(number)
                self.places[headers["topic"], int(headers["partition"]), int(headers["offset"])] = number
