"""POST over HTTP, and what its outcome means for the next try.

Redirects are not followed: a signed message goes to the address in the settings or nowhere. The answer's body is not
read. What is raised names status codes and kinds of errors, never the address, which may hold a secret.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from pydantic import SecretStr

from alerts.errors import ChannelFailed, InvalidChannel

_LONGEST_WAIT = timedelta(hours=1)  # a receiver's mistake should not silence a pager for a day
_LATER = {408, 425, 429}


class Poster:
    """Posts to one address. `timeout`: seconds for connecting, and again for each silence of the receiver."""

    def __init__(self, label: str, url: SecretStr, timeout: float, path: str = "") -> None:
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they would log addresses
        try:
            self._url = httpx.URL(url.get_secret_value().rstrip("/") + path if path else url.get_secret_value())
        except (httpx.InvalidURL, ValueError):
            raise InvalidChannel(f"{label}: not an http:// or https:// address") from None
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise InvalidChannel(f"{label}: not an http:// or https:// address")
        self._timeout = timeout

    def post(self, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
        """Hand `body` over; raises `ChannelFailed` with what is to follow."""
        try:
            # A connection for each message: alerts are rare, and an idle one would be cut when it is needed.
            with (
                httpx.Client(timeout=self._timeout, follow_redirects=False) as client,
                client.stream("POST", self._url, content=body, headers=dict(headers)) as answer,
            ):
                status, wait = answer.status_code, answer.headers.get("retry-after")
        except httpx.TimeoutException:
            raise ChannelFailed("the receiver did not answer in time") from None
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise ChannelFailed(f"the receiver could not be reached ({type(error).__name__})") from None
        if 200 <= status < 300:
            return
        if status in _LATER or status >= 500:
            until = retry_after(wait, now) if status in (429, 503) else None
            raise ChannelFailed(f"the receiver answered {status}", retry_after=until)
        raise ChannelFailed(f"the receiver refused it with {status}; it is not tried again", final=True)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long a `Retry-After` header asks to wait, seconds or an HTTP date; at most an hour; None where unreadable."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            wait = timedelta(seconds=min(int(value), 86_400))
        else:
            at = parsedate_to_datetime(value)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except ValueError:
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)
