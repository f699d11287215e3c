"""The wire format: what a Kafka value must be, checked once, here.

`decode` turns raw bytes into a `Message` or raises `InvalidMessage` with its `Reason` and one clear sentence; nothing
else escapes it, whatever the bytes are. `encode` is its inverse for publishers.
"""

import hashlib
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from models.texts import titled
from pipeline.errors import InvalidMessage
from pipeline.reasons import Reason

MAX_BYTES = 1 << 20  # of one Kafka value: 20,000 characters of text fit many times over
AHEAD = timedelta(hours=24)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿]")
_NOT_LETTERS = re.compile(r"[\W_]+")
_LANG = re.compile(r"^[A-Za-z]{2,8}(?=$|[-_])")

Short = Annotated[str, msgspec.Meta(max_length=1000)]


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One news item or comment. `published_at` is aware; (`source`, `id`) is its identity."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    published_at: Annotated[datetime, msgspec.Meta(tz=True)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
    title: Short | None = None
    url: Annotated[str, msgspec.Meta(max_length=2_000)] | None = None
    author: Short | None = None
    lang: Short | None = None
    entities: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=100)] = []

    @property
    def scored_text(self) -> str:
        """What the classifier reads."""
        return titled(self.title, self.text)

    @property
    def key(self) -> UUID:
        """128-bit digest of (`source`, `id`): the document key in the database."""
        digest = hashlib.blake2b(f"{self.source}\0{self.id}".encode(), digest_size=16)
        return UUID(bytes=digest.digest())


_decoder = msgspec.json.Decoder(Message)
_encoder = msgspec.json.Encoder()


def decode(value: bytes | None, *, now: datetime) -> Message:
    """Decode and validate one Kafka value; `published_at` comes back in UTC. Raises `InvalidMessage`, nothing else."""
    if value is None:
        raise InvalidMessage(Reason.TOMBSTONE, "empty value (a tombstone)")
    if len(value) > MAX_BYTES:
        raise InvalidMessage(Reason.TOO_LARGE, f"{len(value):,} bytes, at most {MAX_BYTES:,} are allowed")
    try:
        message = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise InvalidMessage(Reason.INVALID, f"invalid message: {error}") from None
    except msgspec.DecodeError as error:
        raise InvalidMessage(Reason.NOT_JSON, f"not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise InvalidMessage(Reason.NOT_UTF8, f"not UTF-8: byte {error.start}") from None
    except RecursionError:
        raise InvalidMessage(Reason.NOT_JSON, "not JSON that can be read: nested too deeply") from None
    return validate(message, now=now)


def validate(message: Message, *, now: datetime) -> Message:
    """The checks that types cannot express: time within bounds, no null character, some text. UTC comes back."""
    published_at = validate_time(message.published_at, now=now)
    if not message.text.strip():
        raise InvalidMessage(Reason.INVALID, "text is blank")
    for name in ("id", "source", "text", "title", "url", "author", "lang"):
        if "\0" in (getattr(message, name) or ""):
            raise InvalidMessage(Reason.INVALID, f"{name} holds a null character")
    if any("\0" in entity for entity in message.entities):
        raise InvalidMessage(Reason.INVALID, "entities hold a null character")
    return msgspec.structs.replace(message, published_at=published_at)


def validate_time(published_at: datetime, *, now: datetime) -> datetime:
    """`published_at` in UTC; raises `InvalidMessage` where it is before 1970 or more than 24 h ahead of `now`."""
    try:
        published_at = published_at.astimezone(UTC)
    except OverflowError:
        raise InvalidMessage(Reason.BAD_TIME, "published_at is out of range") from None
    if published_at > now + AHEAD:
        raise InvalidMessage(
            Reason.BAD_TIME, f"published_at {published_at:%Y-%m-%dT%H:%M:%SZ} is more than 24 h ahead of now"
        )
    if published_at < EARLIEST:
        raise InvalidMessage(Reason.BAD_TIME, "published_at is before 1970")
    return published_at


def encode(message: Message) -> bytes:
    """UTF-8 JSON of the wire format; absent fields are left out."""
    return _encoder.encode(message)


def language(message: Message) -> str:
    """Primary language subtag in lower case: the source's word where it is one, else `zh` or `en` by script."""
    given = _LANG.match(message.lang.strip()) if message.lang else None
    if given:
        return given[0].lower()
    sample = message.scored_text[:400]
    return "zh" if len(_HAN.findall(sample)) * 4 >= len(sample.split()) else "en"


def content_hash(message: Message) -> int:
    """Signed 64-bit hash of the text without case, width, punctuation, emoji and spacing: equal for copies."""
    folded = unicodedata.normalize("NFKC", message.scored_text).casefold()
    letters = _NOT_LETTERS.sub("", folded)
    digest = hashlib.blake2b((letters or folded).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
