"""Files that rows are exported to, a part at a time: CSV and Parquet. A file has its name only once it is complete."""

import codecs
import csv
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from newsquake.errors import ExtraMissing
from storage.export import Field, Kind

Parts = Iterable[Sequence[Sequence[Any]]]

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""How a cell begins that a spreadsheet computes; the full-width ones count where Chinese or Japanese is set.

https://owasp.org/www-community/attacks/CSV_Injection
"""


class Write(Protocol):
    """Writes all parts into an open file."""

    def __call__(self, parts: Parts, fields: Sequence[Field], out: BinaryIO) -> None:
        """Consume `parts`; rows have a value for each of `fields`."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that replaces `path` at the end; where the block raises, `path` is as it was.

    It grows as `path` with `.part` behind it, in the same folder. A link stays: what it names is replaced. What is no
    regular file, a device or a pipe, is written straight into.

    Raises:
        OSError: the file cannot be written; a directory says so before anything is.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as out:
            yield out
        return
    path = Path(os.path.realpath(path))
    growing = path.with_name(path.name + ".part")
    try:
        with growing.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        growing.replace(path)
    except BaseException:
        growing.unlink(missing_ok=True)
        raise


def write_csv(parts: Parts, fields: Sequence[Field], out: BinaryIO, *, raw: bool = False) -> None:
    """CSV as of RFC 4180 in UTF-8, with a header; times in ISO 8601 with Z, lists as JSON, nothing for null.

    Text that a spreadsheet would take for a formula gets an apostrophe in front, unless `raw`.
    """
    shapes = [_cell(field.kind, raw=raw) for field in fields]
    rows = csv.writer(codecs.getwriter("utf-8")(out))  # a TextIOWrapper would close `out` where this raises
    rows.writerow([field.name for field in fields])
    for part in parts:
        rows.writerows(
            [None if value is None else shape(value) for shape, value in zip(shapes, row, strict=True)] for row in part
        )


def _cell(kind: Kind, *, raw: bool) -> Callable[[Any], object]:
    if kind is Kind.TIME:
        return _time
    if kind is Kind.TEXTS:
        return lambda value: json.dumps(value, ensure_ascii=False)
    if kind is Kind.TEXT and not raw:
        return lambda value: f"'{value}" if value.startswith(_FORMULA) else value
    return lambda value: value


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def write_parquet(parts: Parts, fields: Sequence[Field], out: BinaryIO) -> None:
    """Parquet, compressed with zstd, a row group a part; times in UTC microseconds.

    Raises:
        ExtraMissing: pyarrow is not installed.
    """
    need_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        Kind.TIME: pa.timestamp("us", tz="UTC"),
        Kind.TEXT: pa.string(),
        Kind.TEXTS: pa.list_(pa.string()),
        Kind.REAL: pa.float64(),
        Kind.COUNT: pa.int64(),
    }
    schema = pa.schema([(field.name, kinds[field.kind]) for field in fields])
    with pq.ParquetWriter(_Forward(out), schema, compression="zstd") as writer:
        for part in parts:
            columns = zip(*part, strict=True)
            arrays = [pa.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def need_pyarrow() -> None:
    """Say at once what is missing.

    Raises:
        ExtraMissing: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ExtraMissing("Parquet needs pyarrow: pip install 'newsquake[export]', or take --format csv") from None


class _Forward:
    """A file that is only ever written forward, so that a pipe will do: it counts where it is."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._at = 0
        self.closed = False

    def write(self, content: Any) -> int:
        written = self._out.write(content)
        self._at += written
        return written

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
