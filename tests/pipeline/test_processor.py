"""From the agents to the acknowledgement: what is stored before what is acknowledged, and who waits for whom.

The database and the broker are stand-ins that keep a diary; `tests/integration` has the real ones.
"""

import asyncio

import pytest

from pipeline.batches import RawMessage
from pipeline.errors import DeadLetterLimitReached
from pipeline.inbox import Received
from pipeline.microbatch import Policy
from pipeline.processor import Processor
from tests.pipeline.diary import POLICY, STREAMS, Diary, running, start


def test_both_streams_share_one_forward_call_and_one_transaction() -> None:
    diary = Diary()

    async def scenario() -> None:
        async with running(diary) as processor:
            await processor.submit("news", diary.received("n", 0, 1))
            await processor.submit("comment", diary.received("c", 0))
            await diary.until(3)

    asyncio.run(scenario())
    assert diary.scored == diary.written == [["n0", "n1", "c0"]]
    assert diary.streams == {"n0": "news", "n1": "news", "c0": "comment"}


def test_offsets_are_acknowledged_after_the_commit_and_in_order() -> None:
    diary = Diary()

    async def scenario() -> None:
        async with running(diary) as processor:
            for offset in range(0, 40, 4):
                await processor.submit("news", diary.received("n", *range(offset, offset + 4)))
                await processor.submit("comment", diary.received("c", *range(offset, offset + 4)))
            await diary.until(80)

    asyncio.run(scenario())
    for topic in STREAMS:
        own = [name for name in diary.acknowledged if name.startswith(topic)]
        assert own == [f"{topic}{offset}" for offset in range(40)]
    for name in diary.acknowledged:
        assert diary.events.index(f"stored {name}") < diary.events.index(f"acknowledged {name}")
    assert all(len(batch) <= POLICY.batch_size for batch in diary.written)


def test_a_dead_letter_is_sent_before_anything_of_its_batch_is_acknowledged() -> None:
    diary = Diary()

    async def scenario() -> None:
        async with running(diary) as processor:
            await processor.submit("comment", [Received(RawMessage("c", 0, 0, None, b"{"), 0, 1)])
            await processor.submit("news", diary.received("n", 0))
            await diary.until(2)

    asyncio.run(scenario())
    assert sorted(diary.acknowledged) == ["c0", "n0"]
    assert diary.events.index("dead c0") < diary.events.index("acknowledged c0")


def test_what_came_before_a_new_deal_of_partitions_is_stored_but_not_acknowledged() -> None:
    diary = Diary()
    diary.free.clear()

    async def scenario() -> None:
        async with running(diary) as processor:
            await processor.submit("news", diary.received("n", *range(10)))
            await asyncio.to_thread(diary.busy.wait, 5)
            await processor.submit("news", diary.received("n", *range(10, 14)))
            await processor.new_generation(1)
            diary.free.set()
            await processor.submit("news", diary.received("n", 0, 1, generation=1))
            await diary.until(2)

    asyncio.run(scenario())
    assert diary.written == [[f"n{offset}" for offset in range(10)], ["n0", "n1"]], "those that waited are dropped"
    assert diary.acknowledged == ["n0", "n1"]


def test_a_document_that_the_database_refuses_is_isolated_from_both_streams() -> None:
    diary = Diary()
    diary.refused = "n1"

    async def scenario() -> None:
        async with running(diary) as processor:
            await processor.submit("news", diary.received("n", 0, 1, 2))
            await processor.submit("comment", diary.received("c", 0))
            await diary.until(4)

    asyncio.run(scenario())
    assert sorted(text for batch in diary.written for text in batch) == ["c0", "n0", "n2"]
    assert [event for event in diary.events if event.startswith("dead")] == ["dead n1"]
    assert diary.acknowledged == ["n0", "n1", "n2", "c0"]


def test_nothing_of_a_batch_that_was_not_stored_is_acknowledged_and_the_error_ends_the_run() -> None:
    diary = Diary()
    diary.broken = True

    async def scenario() -> None:
        processor, run = start(diary)
        await processor.submit("news", diary.received("n", 0))
        await processor.submit("comment", diary.received("c", 0))
        async with asyncio.timeout(5):
            await run

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(scenario())
    assert caught.group_contains(RuntimeError, match="the disk is full")
    assert diary.acknowledged == []


def test_a_message_that_comes_into_a_flood_is_in_the_next_micro_batch() -> None:
    diary = Diary()
    diary.free.clear()

    async def scenario() -> None:
        async with running(diary) as processor:
            flood = asyncio.create_task(submit_one_by_one(processor, diary, 60))
            await asyncio.to_thread(diary.busy.wait, 5)
            await asyncio.sleep(0.01)  # so that a backlog waits as well
            await processor.submit("news", diary.received("n", 0))
            diary.free.set()
            await flood
            await diary.until(61)

    asyncio.run(scenario())
    assert "n0" in diary.scored[1], [len(batch) for batch in diary.scored]


async def submit_one_by_one(processor: Processor, diary: Diary, count: int) -> None:
    for offset in range(count):
        await processor.submit("comment", diary.received("c", offset))


def test_a_stream_waits_with_two_micro_batches_at_most_and_holds_back_kafka_but_not_the_other_stream() -> None:
    diary = Diary()
    diary.free.clear()

    async def scenario() -> None:
        async with running(diary, Policy(max_wait=0.005, token_budget=100, batch_size=1000)) as processor:
            await processor.submit("comment", diary.received("c", *range(10)))
            await asyncio.to_thread(diary.busy.wait, 5)
            await processor.submit("comment", diary.received("c", *range(10, 29)))
            await processor.submit("comment", diary.received("c", 29, 30))
            blocked = asyncio.create_task(processor.submit("comment", diary.received("c", 31)))
            async with asyncio.timeout(1):
                await processor.submit("news", diary.received("n", *range(5)))
            await asyncio.sleep(0.02)
            assert not blocked.done()
            diary.free.set()
            await diary.until(37)
            assert blocked.done()

    asyncio.run(scenario())
    assert diary.scored[0] == [f"c{offset}" for offset in range(10)]


def test_a_message_alone_goes_after_max_wait() -> None:
    diary = Diary()

    async def scenario() -> float:
        async with running(diary, Policy(max_wait=0.05, token_budget=100, batch_size=10)) as processor:
            began = asyncio.get_running_loop().time()
            await processor.submit("news", diary.received("n", 0))
            await diary.until(1)
            return asyncio.get_running_loop().time() - began

    assert 0.05 <= asyncio.run(scenario()) < 2


def test_too_many_invalid_messages_end_the_run_before_any_letter_of_theirs_is_sent() -> None:
    diary = Diary()

    async def scenario() -> None:
        processor, run = start(diary)
        invalid = [Received(RawMessage("c", 0, offset, None, b"{"), 0, 1) for offset in range(6)]
        await processor.submit("news", diary.received("n", 0))
        await processor.submit("comment", invalid)
        async with asyncio.timeout(5):
            await run

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(scenario())
    assert caught.group_contains(DeadLetterLimitReached, match="c/0: 6 messages in a row are invalid")
    assert diary.events == ["stored n0"], "what is valid is stored, and comes again"
