"""The document of a run as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from newsquake.commands.output import cell, table

_RATE, _SHARE, _QUERY_MS, _DROP_MS = 25_000, 0.4, 50, 100
_SHOWN = {
    "writer": "batch writer",
    "executemany": "executemany of INSERT",
    "insertmanyvalues": "SQLAlchemy insertmanyvalues",
    "copy": "bare COPY",
    "copy_binary": "bare COPY, binary",
}


def tables(document: Mapping[str, Any]) -> list[Table]:
    """Ingest, queries, size, and the goals."""
    return [_ingest(document), _queries(document), _sizes(document), _goals(document)]


def _ingest(document: Mapping[str, Any]) -> Table:
    sizes = list(document["by_batch"])
    made = table("documents/s by size of the batch", "way", *(f">{size}" for size in sizes), ">the writer is")
    for way, shown in _SHOWN.items():
        rates = [f"{document['by_batch'][size][way]['docs_per_s']:,.0f}" for size in sizes]
        ratio = "" if way == "writer" else f"{document[f'ratio_{way}']:.2f} x at {document[way]['batch']}"
        made.add_row(shown, *rates, ratio)
    return made


def _queries(document: Mapping[str, Any]) -> Table:
    title = f"answers from {document['documents']:,} documents over {document['days']} days, milliseconds"
    made = table(title, "view", "question", ">p50", ">p95", ">slowest", ">rows")
    for one in document["queries"]:
        times = (f"{one[name]:,.1f}" for name in ("p50_ms", "p95_ms", "max_ms"))
        made.add_row(cell(one["view"]), cell(one["asks"]), *times, f"{one['rows']:,.0f}")
    return made


def _sizes(document: Mapping[str, Any]) -> Table:
    made = table("bytes a document", "table", ">rows", ">indexes", ">together")
    for name, size in sorted(document["size"]["tables"].items(), key=lambda item: -sum(item[1].values())):
        made.add_row(
            name, f"{size['bytes']:,.0f}", f"{size['index_bytes']:,.0f}", f"{sum(size.values()):,.0f}"
        )  # fmt: skip
    made.add_row("everything", "", "", f"{document['size']['bytes_per_document']:,.0f}")
    return made


def _goals(document: Mapping[str, Any]) -> Table:
    rate, share = document["writer"]["docs_per_s"], document["ratio_copy"]
    slowest = max(document["query_p95_ms"], key=document["query_p95_ms"].__getitem__)
    worst, drop = document["query_p95_ms"][slowest], document["retention"]["slowest_ms"]
    made = table("goals", "goal", ">measured", ">goal is", "")
    made.add_row("batch writer, documents/s", f"{rate:,.0f}", f">= {_RATE:,}", _met(rate >= _RATE))
    made.add_row("batch writer, share of bare COPY", f"{share:.0%}", f">= {_SHARE:.0%}", _met(share >= _SHARE))
    made.add_row(f"slowest view ({slowest}), p95 in ms", f"{worst:,.1f}", f"<= {_QUERY_MS}", _met(worst <= _QUERY_MS))
    made.add_row("dropping a day, slowest in ms", f"{drop:,.1f}", f"<= {_DROP_MS}", _met(drop <= _DROP_MS))
    return made


def remarks(document: Mapping[str, Any]) -> list[str]:
    """What does not fit a column."""
    together = ", ".join(f"{count}: {one['docs_per_s']:,.0f}" for count, one in document["writers"].items())
    dropped = document["retention"]
    lines = [
        " · ".join(f"{name} {value}" for name, value in document["machine"].items()),
        f"PostgreSQL {'with the settings of docker-compose.yml' if document['tuned'] else 'as it is out of the box'}",
        f"one writer after a while, documents/s: {document['writer']['sustained_docs_per_s']:,.0f}",
        f"writers at once, documents/s together: {together}",
        f"dropping one of {dropped['days']} days of {dropped['documents_a_day']:,.0f} documents and "
        f"{dropped['mb_a_day']:,.1f} MB: {dropped['day_ms']:.1f} ms, at most {dropped['slowest_ms']:.1f}; "
        f"with locks {dropped['locked_ms']:.1f}",
    ]
    if document["views_missing"]:
        lines.append(f"not in this database, so not asked: {', '.join(document['views_missing'])}")
    if document["views_not_asked"]:
        lines.append(f"views without a question: {', '.join(document['views_not_asked'])}")
    return lines


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
