"""How dead letters look: rows and fields of the list, one letter in full, bytes of any kind on a terminal."""

import base64
from typing import TYPE_CHECKING

import typer

from newsquake.commands.output import cell
from pipeline.reasons import Reason

if TYPE_CHECKING:
    from pipeline.dead_letter_archive import ArchivedLetter
    from pipeline.dead_letter_catalogue import Entry

_SHOWN = 4_000  # characters of a value that are printed
_ERROR = 160  # characters of an error in the list


def reason_name(reason: Reason | None) -> str:
    """The reason, `unknown` where the letter names none that this release knows."""
    return reason.value if reason else "unknown"


def _origin(origin: tuple[str, int, int] | None) -> str:
    return f"{origin[0]}/{origin[1]}@{origin[2]}" if origin else "–"


def row(entry: "Entry") -> tuple[str, ...]:
    """Cells of the list."""
    states = (["replayed"] if entry.replayed else []) + ([f"of {entry.replay_of}"] if entry.replay_of else [])
    error = entry.error if len(entry.error) <= _ERROR else entry.error[: _ERROR - 1] + "…"
    return (
        str(entry.offset) if entry.partition == 0 else f"{entry.partition}@{entry.offset}",
        f"{entry.at:%Y-%m-%d %H:%M:%S}",
        reason_name(entry.reason),
        cell(_origin(entry.origin)),
        cell(entry.source or "–"),
        cell(entry.id or "–"),
        cell(", ".join(states) or "–"),
        cell(error),
    )


def entry_fields(entry: "Entry") -> dict[str, object]:
    """One letter of the list for JSON."""
    from dataclasses import asdict

    topic, partition, offset = entry.origin or (None, None, None)
    kept = {name: field for name, field in asdict(entry).items() if name not in ("identity", "origin", "copies")}
    return {**kept, "topic": topic, "topic_partition": partition, "topic_offset": offset, "copies": len(entry.copies)}


def letter_fields(letter: "ArchivedLetter") -> dict[str, object]:
    """One letter for JSON; keys and values as text where they are UTF-8, and exactly in base64."""
    from pipeline.dead_letter_catalogue import source_and_id

    source, identifier = source_and_id(letter.value)
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "at": letter.at,
        "reason": letter.reason,
        "error": letter.error,
        "from": _origin(letter.origin),
        "replay_of": letter.replay_of,
        "source": source,
        "id": identifier,
        "headers": letter.headers,
        "key": _readable(letter.key),
        "key_base64": _base64(letter.key),
        "bytes": None if letter.value is None else len(letter.value),
        "value": _readable(letter.value),
        "value_base64": _base64(letter.value),
    }


def _readable(value: bytes | None) -> str | None:
    """The text where it is UTF-8; its exact bytes are in the field beside it."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _escaped(value: bytes | None) -> str:
    """Bytes for a terminal: text as it is, all else as backslash escapes."""
    text = (value or b"").decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def tell_letter(letter: "ArchivedLetter") -> None:
    """One letter on stdout: a line a field and a header, then the value, cut where it is long."""
    parts = letter_fields(letter) | {"key": _escaped(letter.key) if letter.key is not None else None}
    if letter.reason:
        parts["reason"] = f"{letter.reason.value}: {letter.reason.sentence}"
    for name in ("key_base64", "headers", "value", "value_base64"):
        parts.pop(name)
    for name, part in parts.items():
        typer.echo(f"{name:<10} {_escaped(str(part).encode('utf-8', 'backslashreplace')) if part is not None else '–'}")
    for name, header in letter.headers.items():
        typer.echo(f"header     {_escaped(name.encode('utf-8', 'backslashreplace'))} = {_escaped(header.encode())}")
    if letter.value is not None:
        text = _escaped(letter.value[: 4 * _SHOWN])
        typer.echo("\n" + text[:_SHOWN])
        if len(text) > _SHOWN:
            typer.echo("… cut here; `--raw FILE` writes all of it", err=True)
