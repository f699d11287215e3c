"""Kafka's record batches, read so that no header name can stop a partition.

aiokafka and kafka-python decode header names as UTF-8 and fail on a batch that holds another one, again each time the
batch is fetched; anyone who may write to the topic could so stop it for good. Such a batch, and no other, is read once
more with `\\xff` in place of what is not UTF-8: what matters is the record, and no name that Newsquake knows looks so.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class _Lenient(bytearray):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _Batch:
    """One batch of aiokafka's, and the bytes that it was read from."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except (UnicodeDecodeError, CorruptRecordException):  # from the start again: aiokafka drops what it has had
            batch = _DefaultRecordBatchPy(self._raw)
            batch._maybe_uncompress()
            batch._buffer = _Lenient(batch._buffer)
            yield from batch


class _Records:
    """The batches of one fetched partition, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._records = _MemoryRecordsPy(data)
        self.has_next = self._records.has_next
        self.size_in_bytes = self._records.size_in_bytes

    def next_batch(self) -> _Batch | None:
        raw = self._records._next_slice
        batch = self._records.next_batch()
        return None if batch is None or raw is None else _Batch(batch, raw)


class _PythonBatch(DefaultRecordBatch):  # type: ignore[misc]
    """One batch of kafka-python's, which stays at the beginning of a record that it cannot read."""

    __slots__ = ()
    _buffer: Any

    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            self._buffer = _Lenient(self._buffer)
            return super()._read_msg()


def read_any_header() -> None:
    """Let every consumer of this process read batches so, aiokafka's and kafka-python's."""
    fetcher.MemoryRecords = _Records
    memory_records.DefaultRecordBatch = _PythonBatch
