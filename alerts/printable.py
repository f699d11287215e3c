"""Texts of strangers as one line of printable characters: nothing in them moves a cursor, hides or fills a screen."""

import unicodedata

_CUT = 160


def clean(text: str, limit: int = _CUT) -> str:
    """One line without control and invisible characters, cut at `limit` characters."""
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def link(url: str | None, limit: int = 500) -> str | None:
    """An address that a reader may follow: http or https, without spaces or odd characters; else None."""
    if url is None or len(url) > limit or not url.startswith(("http://", "https://")):
        return None
    odd = any(unicodedata.category(char)[0] in "CZ" or char in "<>\"'`" for char in url)
    return None if odd else url
