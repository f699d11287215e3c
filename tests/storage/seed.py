"""A small market for `docs/sql.md`: two UTC days, 9 and 10 March 2026, with a run on a bank at the end of the second.

Deterministic, written by the real writer. Every number in the cookbook's answers follows from `_STORY`.
"""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_DNS, uuid5

from sqlalchemy import Engine, text

from storage.search import index_documents
from storage.writer import BatchWriter, ScoredDocument

MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
_SHARES = {"-": (0.8, 0.1, 0.1), "=": (0.1, 0.8, 0.1), "+": (0.1, 0.1, 0.8)}
_NAMES = {"-": "negative", "=": "neutral", "+": "positive"}

# Hours after Monday midnight, topic, stream, lang, source, entities, and one sign a document: the n-th is published
# 3 n minutes into the hour, and each further negative one of a line is a little worse than the one before.
_STORY: tuple[tuple[int, str, str, str, str, tuple[str, ...], str], ...] = (
    (9, "financials", "news", "en", "reuters", ("MDB",), "==+"),
    (9, "energy", "news", "en", "reuters", ("NRG",), "-=+"),
    (10, "financials", "comment", "zh", "xueqiu", (), "+="),
    (15, "macro", "news", "zh", "caixin", (), "==-+"),
    (33, "financials", "news", "en", "reuters", ("MDB",), "=+=-"),
    (33, "macro", "news", "zh", "caixin", (), "=+"),
    (34, "energy", "news", "en", "reuters", ("NRG",), "++="),
    (34, "financials", "comment", "en", "forum", ("MDB",), "-=+="),
    (36, "financials", "news", "en", "reuters", ("MDB",), "-=-"),
    (36, "financials", "comment", "en", "forum", ("MDB",), "-=-+"),
    (37, "financials", "news", "en", "reuters", ("MDB",), "---="),
    (37, "financials", "comment", "en", "forum", ("MDB", "HBK"), "------=-"),
    (37, "financials", "comment", "zh", "xueqiu", ("MDB",), "---"),
    (37, "energy", "news", "en", "reuters", ("NRG",), "=+"),
)
_WORDS = {
    ("financials", "en", "-"): "Depositors queue as Merrowdale Bank limits withdrawals",
    ("financials", "zh", "-"): "梅罗代尔银行限制提款，储户恐慌",
    ("energy", "en", "-"): "Northgate Energy cuts its outlook",
    ("macro", "zh", "-"): "央行降息，市场担忧经济放缓",
}
_ALERT = text("""
INSERT INTO alerts (topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at, expected, observed,
                    messages, p_value, sources, contents)
VALUES ('financials', '*', 'firing', 'critical', 'volume', 30, '2026-03-10 13:12Z', '2026-03-10 13:21Z', 1.5, 12, 14,
        1e-7, 3, 12),
       ('energy', 'news', 'acknowledged', 'warning', 'share', 60, '2026-03-10 09:10Z', '2026-03-10 09:40Z', 2, 5, 9,
        0.0004, 2, 5)""")


def documents() -> list[ScoredDocument]:
    """The story as scored documents, in its order."""
    return [
        _document(line, place, sign, story) for line, story in enumerate(_STORY) for place, sign in enumerate(story[-1])
    ]


def seed(engine: Engine) -> None:
    """Write and index the story, and two open alerts."""
    BatchWriter(engine, "seed").write(documents())
    index_documents(engine)
    with engine.begin() as connection:
        connection.execute(_ALERT)


def _document(
    line: int, place: int, sign: str, story: tuple[int, str, str, str, str, tuple[str, ...], str]
) -> ScoredDocument:
    hour, topic, stream, lang, source, entities, signs = story
    worse = 0.01 * signs[:place].count("-") if sign == "-" else 0.0
    negative, neutral, positive = _SHARES[sign]
    name = f"{source}-{line}-{place}"
    return ScoredDocument(
        key=uuid5(NAMESPACE_DNS, name),
        published_at=MONDAY + timedelta(hours=hour, minutes=3 * place),
        source=source,
        id=name,
        stream=stream,
        lang=lang,
        title=f"{topic.capitalize()} {line}-{place}" if stream == "news" else None,
        text=_WORDS.get((topic, lang, sign), "Trading was quiet" if lang == "en" else "交易平淡"),
        url=f"https://example.com/{name}",
        author=None,
        entities=entities,
        content_hash=100 * line + place,
        topic=topic,
        sentiment=_NAMES[sign],
        negative=negative + worse,
        neutral=neutral,
        positive=positive - worse,
        confidence=0.8,
    )
