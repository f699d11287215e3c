"""Who wakes whom at the inbox, and how much it holds."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

import pytest

from pipeline.batches import RawMessage
from pipeline.inbox import Inbox, Received
from pipeline.microbatch import Policy

FOREVER = 3600.0
T = TypeVar("T")


async def ignore() -> None:
    return


def received(*offsets: int, tokens: int = 10) -> list[Received]:
    now = asyncio.get_running_loop().time()
    return [Received(RawMessage("t", 0, offset, None, b""), now, tokens, ignore) for offset in offsets]


def offsets(taken: Sequence[Received]) -> list[int]:
    return [message.message.offset for message in taken]


def run(scenario: Coroutine[object, object, T]) -> T:
    return asyncio.run(asyncio.wait_for(scenario, 5))


def test_a_full_micro_batch_wakes_whoever_waits_for_it_however_long_max_wait_is() -> None:
    async def scenario() -> list[int]:
        inbox = Inbox(Policy(max_wait=FOREVER, token_budget=100, batch_size=4))
        taking = asyncio.create_task(inbox.take())
        await asyncio.sleep(0)  # it finds nothing
        await inbox.put("news", received(0, 1))
        await asyncio.sleep(0)  # it finds too little
        await inbox.put("comment", received(2, 3))
        return offsets(await taking)

    assert run(scenario()) == [0, 1, 2, 3]


@pytest.mark.parametrize("policy", [Policy(FOREVER, 1000, batch_size=4), Policy(FOREVER, 40, batch_size=100)])
def test_a_stream_holds_two_micro_batches_by_messages_and_by_tokens(policy: Policy) -> None:
    async def scenario() -> None:
        inbox = Inbox(policy)
        for offset in range(8):
            await inbox.put("news", received(offset))
        putting = asyncio.create_task(inbox.put("news", received(8)))
        await asyncio.sleep(0.01)
        assert not putting.done()
        assert offsets(await inbox.take()) == [0, 1, 2, 3]
        await putting
        assert offsets(await inbox.take()) == [4, 5, 6, 7]

    run(scenario())


def test_whoever_stops_waiting_leaves_the_inbox_as_it_was() -> None:
    async def scenario() -> list[int]:
        inbox = Inbox(Policy(FOREVER, 1000, batch_size=2))
        for stopped in (asyncio.create_task(inbox.take()), asyncio.create_task(inbox.take())):
            await asyncio.sleep(0)
            stopped.cancel()
            await asyncio.gather(stopped, return_exceptions=True)
        await inbox.put("news", received(0, 1))
        return offsets(await inbox.take())

    assert run(scenario()) == [0, 1]
