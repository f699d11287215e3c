"""Files as messages: JSONL and CSV, plain and gzip, with bad rows among them."""

import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import InvalidSource
from pipeline.sources.files import Row, in_time_order, open_file, read_rows, within

GOOD = {"source": "wire", "published_at": "2026-03-10T12:00:00Z", "text": "Profit rose."}


def rows(content: str | bytes, name: str = "a.jsonl", **options: object) -> list[Row]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_rows(io.BufferedReader(io.BytesIO(raw)), name=name, **options))  # type: ignore[arg-type]


def test_a_missing_id_becomes_a_hash_of_the_content() -> None:
    first, again, other = rows(
        "\n".join(json.dumps(row) for row in (GOOD, GOOD, {**GOOD, "text": "Profit fell."})), stream="news"
    )
    assert first.message and again.message and other.message
    assert first.message.id == again.message.id != other.message.id


def test_bad_lines_are_told_with_their_numbers_and_stop_nobody() -> None:
    found = rows("\n".join(["{nope", json.dumps(GOOD), "", "[1]", json.dumps({**GOOD, "text": ""})]), stream="news")
    assert [(row.line, row.message is not None) for row in found] == [(1, False), (2, True), (4, False), (5, False)]
    assert all(row.error for row in found if row.message is None)


def test_the_stream_is_the_callers_else_the_rows_own() -> None:
    line = json.dumps({**GOOD, "stream": "comment"})
    assert rows(line)[0].stream == "comment"
    assert rows(line, stream="news")[0].stream == "news"
    assert "stream" in (rows(json.dumps(GOOD))[0].error or "")


def test_csv_columns_are_the_wire_formats() -> None:
    text = 'id,source,published_at,text,entities\n7,wire,2026-03-10T12:00:00Z,"Fell, sharply",A;B\n8,,,x,\n'
    good, bad = rows(text, "a.csv", stream="news")
    assert good.message and good.message.text == "Fell, sharply" and good.message.entities == ["A", "B"]
    assert bad.line == 3 and bad.error
    assert rows(text, "noname", stream="news")[0].message == good.message


def test_csv_without_a_text_column_is_refused_at_once() -> None:
    with pytest.raises(InvalidSource, match="header"):
        rows("a,b\n1,2\n", "a.csv", stream="news")


def test_csv_rows_that_are_not_utf8_are_rejected_alone() -> None:
    raw = b"id,source,published_at,text\n1,w,2026-03-10T12:00:00Z,\xff\n2,w,2026-03-10T12:00:00Z,ok\n"
    bad, good = rows(raw, "a.csv", stream="news")
    assert bad.error == "not UTF-8" and good.message


@pytest.mark.parametrize("name", ["a.jsonl.gz", "noname"])
def test_gzip_is_told_by_its_content_and_damage_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    packed = gzip.compress(json.dumps(GOOD).encode())
    path.write_bytes(packed)
    with open_file(path) as (content, _):
        assert next(iter(read_rows(content, name=name, stream="news"))).message
    for damaged in (packed[:-12], packed[:12], packed[:10] + b"\xff" * len(packed)):
        path.write_bytes(damaged)
        with open_file(path) as (content, _), pytest.raises(InvalidSource, match="damaged"):
            list(read_rows(content, name=name, stream="news"))


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+08:00", "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "9999-12-31T12:00:00Z"]
)
def test_a_row_of_a_time_that_no_message_may_have_is_rejected_and_the_rest_stays_in_order(time: str) -> None:
    times = ["2026-03-10T05:00:00Z", time, "2026-03-10T04:00:00Z"]
    content = "\n".join(json.dumps({**GOOD, "published_at": at}) for at in times)
    found = list(in_time_order(rows(content, stream="news")))
    assert [row.line for row in found] == [2, 3, 1]
    assert "published_at" in (found[0].error or "")


def test_rows_that_know_only_their_day_are_spread_over_it_and_come_out_in_order() -> None:
    lines = [
        json.dumps(
            {
                "source": "w",
                "ts": "2018-02-05T00:00:00+00:00",
                "ts_precision": "day",
                "text": f"Item {i}",
                "stream": "news",
            }
        )
        for i in range(200)
    ]
    times = [row.message.published_at for row in in_time_order(rows("\n".join(lines))) if row.message]
    assert times == sorted(times)
    assert {at.date() for at in times} == {datetime(2018, 2, 5, tzinfo=UTC).date()}
    assert len({at.hour for at in times}) == 24
    assert times == [row.message.published_at for row in in_time_order(rows("\n".join(lines))) if row.message]


def test_rows_of_a_day_that_has_passed_come_out_where_they_stand() -> None:
    days = ["2026-03-10T05:00:00Z", "2026-03-10T04:00:00Z", "2026-03-11T01:00:00Z", "2026-03-10T23:00:00Z"]
    content = "\n".join(json.dumps({**GOOD, "published_at": day}) for day in days)
    order = [row.line for row in in_time_order(rows(content, stream="news"))]
    assert sorted(order) == [1, 2, 3, 4]
    assert order.index(2) < order.index(1) < order.index(3)


def test_a_window_of_event_time_keeps_errors() -> None:
    content = "\n".join(["{nope", json.dumps(GOOD), json.dumps({**GOOD, "published_at": "2026-03-12T00:00:00Z"})])
    kept = within(rows(content, stream="news"), None, datetime(2026, 3, 11, tzinfo=UTC))
    assert [row.line for row in kept] == [1, 2]
