"""Bounded retry with back-off and jitter: faults that pass are waited out, faults that stay end the process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from pipeline.metrics import RETRIES

log = structlog.get_logger(__name__)
T = TypeVar("T")


async def retry(call: Callable[[], Awaitable[T]], *, what: str, on: tuple[type[Exception], ...], seconds: float) -> T:
    """Await `call()` until it returns, retrying the errors `on` for at most `seconds`; then the last one is raised."""

    def announce(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        RETRIES.labels(what).inc()
        log.warning("retrying", what=what, error=str(error) or type(error).__name__, attempt=state.attempt_number)

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(on),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        stop=stop_after_delay(seconds),
        before_sleep=announce,
        sleep=asyncio.sleep,
        reraise=True,
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: tenacity returns or raises")
