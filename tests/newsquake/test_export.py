"""`newsquake export`: what comes out is what is stored, whole or not at all, in memory that does not grow."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from newsquake.exports import whole_file, write_csv, write_parquet
from storage.export import DOCUMENTS, TRENDS, Field, Kind, Range, stream_documents, stream_trends
from storage.settings import StorageSettings
from storage.writer import BatchWriter, ScoredDocument
from tests.newsquake.test_cli import assert_refused, newsquake
from tests.storage.rows import NOON, document

DAY = timedelta(days=1)
ALL = Range()
NASTY = ('=HYPERLINK("http://x","看")', "+1", "-1", "@SUM(A1)", "＝1+1", "\t=1", 'say "hi",\r\n央行降息 🎉', "plain")


def odd_documents() -> list[ScoredDocument]:
    """Texts that break careless files, over three days and before 2000."""
    times = [NOON, NOON + DAY, NOON - DAY, datetime(1999, 5, 1, tzinfo=UTC)]
    return [
        msgspec.structs.replace(document(n), text=words, title=None if n % 2 else "标题", published_at=times[n % 4])
        for n, words in enumerate(NASTY)
    ]


def exported(engine: Engine, wanted: Range = ALL) -> list[dict[str, Any]]:
    """All documents as the database gives them."""
    return [row._asdict() for part in stream_documents(engine, wanted, part=3) for row in part]


def test_every_document_comes_once_in_order_of_time_with_the_score_that_counts(database: Engine) -> None:
    stored = odd_documents()
    BatchWriter(database, "first").write(stored)
    BatchWriter(database, "second").write(stored)
    rows = exported(database)
    assert sorted(row["text"] for row in rows) == sorted(NASTY)
    assert [row["published_at"] for row in rows] == sorted(one.published_at for one in stored)
    by_text = {one.text: one for one in stored}
    for row in rows:
        one = by_text[row["text"]]
        assert (row["id"], row["sentiment"], row["entities"]) == (one.id, one.sentiment, list(one.entities))
        assert row["score"] == pytest.approx(one.positive - one.negative)


def test_a_range_is_half_open_and_takes_topics_and_a_stream(database: Engine) -> None:
    BatchWriter(database, "m").write([document(n) for n in range(30)])
    wanted = Range(NOON + timedelta(seconds=5), NOON + timedelta(seconds=25), ["energy"], "news")
    assert [int(row["id"]) for row in exported(database, wanted)] == [7, 13, 19]
    assert exported(database, Range(until=NOON - DAY)) == exported(database, Range(since=NOON + 30 * DAY)) == []


def test_parquet_holds_the_same_values(database: Engine, tmp_path: Path) -> None:
    BatchWriter(database, "m").write(odd_documents())
    path = tmp_path / "documents.parquet"
    with whole_file(path) as out:
        write_parquet(stream_documents(database, Range(), part=3), DOCUMENTS, out)
    assert pq.ParquetFile(path).num_row_groups > 2
    table = pq.read_table(path)
    assert table.to_pylist() == exported(database)
    assert str(table.schema.field("published_at").type) == "timestamp[us, tz=UTC]"


def test_raw_csv_holds_the_same_values_and_the_other_no_formula(database: Engine) -> None:
    BatchWriter(database, "m").write(odd_documents())
    raw, safe = io.BytesIO(), io.BytesIO()
    write_csv(stream_documents(database, Range()), DOCUMENTS, raw, raw=True)
    write_csv(stream_documents(database, Range()), DOCUMENTS, safe)
    rows = list(csv.DictReader(io.StringIO(raw.getvalue().decode(), newline="")))
    for row, expected in zip(rows, exported(database), strict=True):
        assert row["text"] == expected["text"] and row["title"] == (expected["title"] or "")
        assert datetime.fromisoformat(row["published_at"]) == expected["published_at"]
        assert row["published_at"].endswith("Z")
        assert float(row["score"]) == expected["score"]
        assert json.loads(row["entities"]) == expected["entities"]
    cells = [row["text"] for row in csv.DictReader(io.StringIO(safe.getvalue().decode(), newline=""))]
    assert sorted(cell.removeprefix("'") for cell in cells) == sorted(NASTY)
    assert sum(cell.startswith("'") for cell in cells) == 6
    assert any(float(row["score"]) < 0 for row in rows), "numbers stay numbers"


@pytest.mark.parametrize(("bucket", "buckets"), [("minute", 5), ("hour", 1), ("day", 1)])
def test_trends_are_the_rollups(database: Engine, bucket: str, buckets: int) -> None:
    BatchWriter(database, "m").write([document(n) for n in range(300)])
    rows = [row._asdict() for part in stream_trends(database, Range(), bucket=bucket) for row in part]
    assert list(rows[0]) == [field.name for field in TRENDS]
    assert sum(row["n"] for row in rows) == 300
    assert len({row["bucket"] for row in rows}) == buckets
    assert all(row["negative_share"] == pytest.approx(row["negative"] / row["n"]) for row in rows)
    energy = [row for part in stream_trends(database, Range(topics=["energy"]), bucket=bucket) for row in part]
    assert sum(row.n for row in energy) == 100


def test_a_file_that_fails_half_way_leaves_the_old_one_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def broken() -> Iterator[Sequence[Sequence[Any]]]:
        yield [["a"]] * 10_000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole_file(path) as out:
        write_csv(broken(), [Field("x", Kind.TEXT)], out)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"] and path.read_text() == "old"


def test_a_directory_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "/", "", str(tmp_path)):
        with pytest.raises(IsADirectoryError), whole_file(Path(name)):
            pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_as_it_is_and_a_link_stays(tmp_path: Path) -> None:
    pipe, link, named = tmp_path / "pipe", tmp_path / "link", tmp_path / "named"
    os.mkfifo(pipe)
    link.symlink_to(named)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in (pipe, link):
        with whole_file(path) as out:
            out.write(b"all of it")
    assert os.read(reading, 99) == named.read_bytes() == b"all of it"
    os.close(reading)
    assert pipe.is_fifo() and link.is_symlink()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "named", "pipe"]


@pytest.fixture
def crowd(database: Engine) -> Engine:
    """A hundred thousand documents of a kilobyte, made by the server."""
    BatchWriter(database, "m").write([document(0)])
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO documents (published_at, key, source, id, stream, lang, text, content_hash)
            SELECT published_at + n * interval '10 ms', gen_random_uuid(), source, n::text, stream, lang,
                   repeat('x', 1000), 1
            FROM documents CROSS JOIN generate_series(1, 100000) AS n;
            INSERT INTO scores (published_at, key, model_id, topic, sentiment, negative, neutral, positive, score,
                                confidence)
            SELECT published_at, key, 1, 'energy', 'neutral', 0.1, 0.8, 0.1, 0, 0.8 FROM documents WHERE id <> '0'""")
        )
    return database


def test_memory_does_not_grow_with_the_number_of_rows(crowd: Engine, tmp_path: Path) -> None:
    """Resident memory: what the driver and pyarrow hold is none of Python's own."""
    resident, seen = psutil.Process().memory_info, list[int]()

    def watched() -> Iterator[Sequence[Sequence[Any]]]:
        for part in stream_documents(crowd, ALL, part=2_000):
            yield part
            seen.append(resident().rss)

    for write in (write_csv, write_parquet):
        seen.append(resident().rss)
        with whole_file(tmp_path / "all") as out:
            write(watched(), DOCUMENTS, out)
    assert len(seen) == 2 * (1 + 51)
    assert max(seen) - seen[0] < 80e6, "pyarrow takes some 30 MB, all rows at once more than 200"
    assert max(seen[-20:]) - max(seen[-40:-20]) < 10e6


def test_the_command_writes_files_and_pipes(
    storage_settings: StorageSettings, database: Engine, tmp_path: Path
) -> None:
    BatchWriter(database, "m").write([document(n) for n in range(30)])
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value()}
    path = tmp_path / "x.parquet"
    done = newsquake("export", "--out", str(path), "--topic", "energy", "--since", "1h", **env)
    assert done.returncode == 0 and "10 rows" in done.stderr
    assert pq.read_table(path).num_rows == 10
    piped = newsquake("export", "--out=-", "--format=csv", "--what=trends", "--bucket=day", **env).stdout
    assert sum(int(row["n"]) for row in csv.DictReader(io.StringIO(piped))) == 30
    whole = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")} | env
    argv = [sys.executable, "-m", "newsquake", "export", "--out=-", "--format=parquet"]
    binary = subprocess.run(argv, env=whole, capture_output=True, cwd=Path(__file__).parents[2], timeout=60)
    assert pq.read_table(io.BytesIO(binary.stdout)).num_rows == 30


def test_what_is_wrong_is_one_line(storage_settings: StorageSettings, tmp_path: Path) -> None:
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value()}
    done = newsquake("export", "--out", str(tmp_path / "no" / "x.csv"), "--format=csv", **env)
    assert done.returncode == 1 and "cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert "Is a directory" in newsquake("export", "--out=.", "--format=csv", **env).stderr
    argv, root = [sys.executable, "-m", "newsquake", "export", "--out=-", "--format=csv"], Path(__file__).parents[2]
    with open("/dev/full", "wb") as full:
        said = subprocess.run(
            argv, env=os.environ | env, stdout=full, stderr=subprocess.PIPE, text=True, cwd=root, timeout=60
        )
    told = "newsquake: standard output cannot be written: No space left on device\n"
    assert (said.returncode, said.stderr) == (1, told)
    wrong = newsquake("export", "--out=-", "--format=csv", "--until", "soon", **env)
    assert wrong.returncode == 2 and "--until" in wrong.stderr


def test_a_missing_extra_is_named(storage_settings: StorageSettings, tmp_path: Path) -> None:
    for package in ("pyarrow", "matplotlib"):
        (tmp_path / f"{package}.py").write_text("raise ImportError")
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value()}
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from newsquake.cli import main; main()"
    for arguments, extra in (
        (["export", "--out", "x.parquet"], "newsquake[export]"),
        (["trends", "--plot", "x.png"], "newsquake[plot]"),
    ):
        argv = [sys.executable, "-c", code, *arguments]
        whole = os.environ | env
        done = subprocess.run(
            argv, env=whole, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60
        )  # fmt: skip
        assert_refused(done, extra)
