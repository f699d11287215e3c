"""Record batches as aiokafka's fetcher reads them: whatever a header is called, the record arrives."""

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from pipeline.records import _Records
from tests.integration.conftest import HeaderNoUtf8

Headers = list[tuple[str, bytes | None]]


def batch(*headers: Headers, codec: int, first: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, found in enumerate(headers):
        assert builder.append(offset, 1_000 + offset, b"key", b"value %d" % (first + offset), found)
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8)  # the broker's to give; the checksum leaves it out
    return bytes(built)


def read(records: object) -> list[tuple[int, bytes, Headers]]:
    found = PartitionRecords(TopicPartition("t", 0), records, [], 0, None, None, True, 0)
    return [(record.offset, record.value, list(record.headers)) for record in found]


@pytest.mark.parametrize("codec", [0, 1, 3], ids=["plain", "gzip", "lz4"])
def test_a_header_name_that_is_not_utf_8_stops_nobody(codec: int) -> None:
    odd: Headers = [("plain", b"1"), (HeaderNoUtf8("name"), b"2"), (HeaderNoUtf8("name"), None)]
    data = batch([], [("名", b"x")], odd, [], codec=codec, first=0) + batch([("b", b"")], codec=codec, first=4)
    with pytest.raises(Exception, match=r"utf-8|record structure"):
        read(MemoryRecords(data))
    assert read(_Records(data)) == [
        (0, b"value 0", []),
        (1, b"value 1", [("名", b"x")]),
        (2, b"value 2", [("plain", b"1"), ("\\xffname", b"2"), ("\\xffname", None)]),
        (3, b"value 3", []),
        (4, b"value 4", [("b", b"")]),
    ]


def test_a_batch_that_is_truly_broken_is_still_refused() -> None:
    data = bytearray(batch([], [], codec=0, first=0))
    data[-1] ^= 1
    with pytest.raises(Exception, match="CRC"):
        read(_Records(bytes(data)))
