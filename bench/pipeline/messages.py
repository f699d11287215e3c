"""What waits in the topics: messages made of real texts, every text once, in both streams.

Texts come from the files that `bench.engine.texts` finds, evenly by file; those of files whose name speaks of comments,
tweets or a forum are comments. Where a source has fewer texts than messages are wanted, texts come again with a number
behind them, so that the engine answers none of them from its cache. `published_at` rises evenly over the last three
hours, as in a backlog: one or two partitions by day, some minutes of event time in a micro-batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from pathlib import Path

from bench.engine.texts import CORPUS, SEED, evenly, files, read
from bench.errors import BenchUsage
from pipeline.message import Message, encode
from pipeline.settings import Stream

SPAN = timedelta(hours=3)
SOURCES = 30
"""Sources of a stream: they are Kafka's keys, and spread its messages over the partitions."""

_COMMENTS = ("comment", "tweet", "forum", "guba", "weibo")
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Item:
    """One message of the load and its value in Kafka."""

    stream: Stream
    message: Message
    value: bytes


def make_messages(place: Path | None, count: int, now: datetime) -> list[Item]:
    """`count` messages, news and comments in turn, in order of publication.

    Raises:
        BenchUsage: there are no texts.
    """
    news, comments = _texts(place, count)
    turns = chain.from_iterable(zip_longest(news, comments))
    texts = [(number, text) for number, text in enumerate(turns) if text is not None]
    return [_item(number, text, now - SPAN + SPAN * number / count) for number, text in texts]


def _item(number: int, text: str, published_at: datetime) -> Item:
    stream: Stream = "comment" if number % 2 else "news"
    source = f"bench-{stream}-{number // 2 % SOURCES}"
    message = Message(id=f"{number:08}", source=source, published_at=published_at, text=text)
    return Item(stream, message, encode(message))


def _texts(place: Path | None, count: int) -> tuple[list[str], list[str]]:
    sources: dict[bool, list[list[str]]] = {False: [], True: []}
    for path in files(place or CORPUS):
        spoken = any(word in path.name for word in _COMMENTS)
        sources[spoken].append([text for text in read(path) if "\0" not in text and len(text) < _LONGEST])
    comments, news = count // 2, count - count // 2
    if not (any(sources[False]) and any(sources[True])):
        drawn = evenly(sources[False] + sources[True], count, SEED)
        return _enough(drawn[0::2], news), _enough(drawn[1::2] or drawn, comments)
    written = evenly(sources[False], news, SEED)
    said = [text for text in evenly(sources[True], comments, SEED) if text not in set(written)]
    return _enough(written, news), _enough(said, comments)


def _enough(texts: Sequence[str], count: int) -> list[str]:
    if count and not texts:
        raise BenchUsage("no texts to publish: name a file or a folder with more")
    rounds = range(-(-count // len(texts))) if count else ()
    again = (f"{text} ({number + 1})" if number else text for number in rounds for text in texts)
    return [text for text, _ in zip(again, range(count), strict=False)]
