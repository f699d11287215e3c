"""When a micro-batch goes, what is in it, and what no flood can do to the other stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.settings import ModelsSettings
from pipeline.microbatch import MAX_TOKENS, Policy, Take, Wait, decide, estimated_tokens
from pipeline.settings import PipelineSettings, Stream

POLICY = Policy(max_wait=0.1, token_budget=100, batch_size=10)


@dataclass(frozen=True)
class Message:
    tokens: int
    arrived: float = 0.0


def take(waiting: Mapping[Stream, Sequence[Message]], lead: Mapping[Stream, int], policy: Policy, now: float) -> Take:
    decision = decide(waiting, lead, policy=policy, now=now)
    assert isinstance(decision, Take), decision
    return decision


def drain(waiting: dict[Stream, list[Message]], policy: Policy) -> list[dict[Stream, list[Message]]]:
    """Every micro-batch until nothing waits, long after everything was due."""
    batches = []
    lead: Mapping[Stream, int] = {}
    while any(waiting.values()):
        taken = take(waiting, lead, policy, now=1e9)
        lead = taken.lead
        batches.append({stream: waiting[stream][:count] for stream, count in taken.messages.items()})
        waiting = {stream: queue[taken.messages.get(stream, 0) :] for stream, queue in waiting.items()}
    return batches


def tokens(messages: Sequence[Message]) -> int:
    return sum(message.tokens for message in messages)


def test_nothing_waits_for_nothing() -> None:
    assert decide({}, {}, policy=POLICY, now=0) == Wait(None)
    assert decide({"news": [], "comment": []}, {"news": 3}, policy=POLICY, now=0) == Wait(None)


def test_a_message_waits_for_company_until_the_oldest_has_waited_long_enough() -> None:
    waiting: dict[Stream, list[Message]] = {
        "news": [Message(10, 5.0), Message(10, 5.08)],
        "comment": [Message(10, 4.97)],
    }
    assert decide(waiting, {}, policy=POLICY, now=5.0) == Wait(4.97 + 0.1)
    assert take(waiting, {}, POLICY, now=4.97 + 0.1).messages == {"news": 2, "comment": 1}


@pytest.mark.parametrize(
    "waiting",
    [
        {"news": [Message(100)]},
        {"news": [Message(60), Message(60)]},
        {"news": [Message(50)], "comment": [Message(50)]},
        {"news": [Message(1)] * 10},
        {"news": [Message(1)] * 5, "comment": [Message(1)] * 5},
    ],
    ids=["budget", "the next does not fit", "budget over streams", "messages", "messages over streams"],
)
def test_a_full_micro_batch_goes_at_once(waiting: dict[Stream, list[Message]]) -> None:
    assert isinstance(decide(waiting, {}, policy=POLICY, now=0), Take)
    assert isinstance(decide({"news": waiting["news"][:-1]}, {}, policy=POLICY, now=0), Wait)


def test_a_message_larger_than_the_budget_goes_alone_and_in_its_turn() -> None:
    batches = drain({"news": [Message(10), Message(250), Message(10)]}, POLICY)
    assert [[message.tokens for message in batch["news"]] for batch in batches] == [[10], [250], [10]]
    assert decide({"news": [Message(250)]}, {}, policy=POLICY, now=0) == Take({"news": 1}, {"news": 250})


def test_two_backlogs_get_half_of_every_micro_batch_each() -> None:
    policy = Policy(max_wait=0.1, token_budget=120, batch_size=100)
    for batch in drain({"news": [Message(20)] * 30, "comment": [Message(5)] * 120}, policy):
        assert {stream: tokens(messages) for stream, messages in batch.items()} == {"news": 60, "comment": 60}


def test_what_one_stream_does_not_need_goes_to_the_other() -> None:
    taken = take({"news": [Message(10)] * 2, "comment": [Message(10)] * 50}, {}, POLICY, now=0)
    assert taken.messages == {"news": 2, "comment": 8}


def test_a_flood_of_empty_messages_does_not_use_up_the_places_of_the_others() -> None:
    taken = take({"news": [Message(10)] * 50, "comment": [Message(1)] * 50}, {}, POLICY, now=0)
    assert taken.messages == {"news": 5, "comment": 5}


def test_streams_take_turns_where_a_micro_batch_holds_one_message() -> None:
    policy = Policy(max_wait=0.1, token_budget=100, batch_size=1)
    batches = drain({"news": [Message(100)] * 4, "comment": [Message(100)] * 4}, policy)
    assert ["news" if "news" in batch else "comment" for batch in batches] == ["news", "comment"] * 4


def test_whoever_comes_into_a_flood_is_in_the_next_micro_batch() -> None:
    policy = Policy(max_wait=0.1, token_budget=100, batch_size=1)
    flood = [Message(100, arrived=number / 1000) for number in range(50)]
    lead = take({"comment": flood}, {}, policy, now=1).lead
    assert take({"comment": flood[1:], "news": [Message(100, 0.99)]}, lead, policy, now=1).messages == {"news": 1}


def test_an_idle_stream_saves_up_nothing() -> None:
    lead: Mapping[Stream, int] = {}
    for _ in range(20):
        lead = take({"comment": [Message(10)] * 50}, lead, POLICY, now=0).lead
    taken = take({"comment": [Message(10)] * 50, "news": [Message(10)] * 50}, lead, POLICY, now=0)
    assert taken.messages == {"comment": 5, "news": 5}


def test_a_stream_that_needs_little_saves_up_nothing_either() -> None:
    lead: Mapping[Stream, int] = {}
    for _ in range(20):
        lead = take({"comment": [Message(10)] * 50, "news": [Message(10)]}, lead, POLICY, now=0).lead
    taken = take({"comment": [Message(10)] * 50, "news": [Message(10)] * 50}, lead, POLICY, now=0)
    assert taken.messages == {"comment": 5, "news": 5}


policies = st.builds(
    Policy, max_wait=st.floats(0.01, 1), token_budget=st.integers(1, 400), batch_size=st.integers(1, 30)
)
queues = st.lists(st.tuples(st.integers(1, 90), st.floats(0, 0.2)), max_size=60).map(
    lambda made: [Message(size, sum(gap for _, gap in made[: number + 1])) for number, (size, _) in enumerate(made)]
)
backlogs = st.fixed_dictionaries({"news": queues, "comment": queues})


@given(backlogs, policies)
def test_nothing_is_lost_or_taken_twice_and_the_order_stays(
    waiting: dict[Stream, list[Message]], policy: Policy
) -> None:
    batches = drain(waiting, policy)
    for stream, queue in waiting.items():
        assert [message for batch in batches for message in batch.get(stream, [])] == queue
    assert all(batch for batch in batches)


@given(backlogs, policies)
def test_the_bounds_hold_but_for_a_single_message_that_is_larger(
    waiting: dict[Stream, list[Message]], policy: Policy
) -> None:
    for batch in drain(waiting, policy):
        messages = [message for taken in batch.values() for message in taken]
        assert 1 <= len(messages) <= policy.batch_size
        assert tokens(messages) <= policy.token_budget or len(messages) == 1


@given(backlogs, policies, st.floats(0, 20))
def test_nothing_waits_beyond_max_wait_and_nothing_goes_early_unless_full(
    waiting: dict[Stream, list[Message]], policy: Policy, now: float
) -> None:
    messages = [message for queue in waiting.values() for message in queue]
    decision = decide(waiting, {}, policy=policy, now=now)
    if not messages:
        assert decision == Wait(None)
        return
    due = min(message.arrived for message in messages) + policy.max_wait
    full = len(messages) >= policy.batch_size or tokens(messages) >= policy.token_budget
    assert decision == Wait(due) if now < due and not full else isinstance(decision, Take)
    assert isinstance(decide(waiting, {}, policy=policy, now=due), Take)


@given(
    st.lists(st.lists(st.integers(1, 90), max_size=12), min_size=1, max_size=30),
    st.lists(st.integers(1, 90), min_size=1, max_size=8),
    st.builds(Policy, max_wait=st.just(0.1), token_budget=st.integers(90, 3000), batch_size=st.integers(1, 60)),
)
def test_a_flood_leaves_the_other_stream_its_half_of_each_micro_batch(
    arrivals: list[list[int]], flood: list[int], policy: Policy
) -> None:
    """`arrivals` come one list a micro-batch; the flood repeats without an end."""
    largest = max(90, policy.token_budget // policy.batch_size)
    half = (policy.token_budget - max(90, policy.batch_size)) / 2 - largest
    lead: Mapping[Stream, int] = {}
    queue: list[Message] = []
    turn = 0
    for sizes in arrivals:
        queue += [Message(size) for size in sizes]
        endless = [Message(flood[(turn + number) % len(flood)]) for number in range(policy.batch_size + 1)]
        taken = take({"comment": endless, "news": queue}, lead, policy, now=1)
        lead = taken.lead
        turn += taken.messages.get("comment", 0)
        count = taken.messages.get("news", 0)
        charged = sum(policy.charge(message) for message in queue[:count])
        assert count == len(queue) or charged >= half
        assert all(0 < amount <= largest for amount in lead.values())
        queue = queue[count:]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, 1), (b"", 1), (b"x" * 100, 1), (b"x" * 205, 30), (b"x" * 450, 100), (b"x" * (1 << 20), MAX_TOKENS)],
)
def test_tokens_are_guessed_from_the_length(value: bytes | None, expected: int) -> None:
    assert estimated_tokens(value) == expected


def test_a_message_counts_for_no_more_than_the_classifier_reads() -> None:
    assert ModelsSettings.model_fields["max_tokens"].default == MAX_TOKENS


def test_a_budget_that_holds_no_whole_message_is_refused() -> None:
    with pytest.raises(ValidationError, match="token_budget"):
        PipelineSettings(token_budget=MAX_TOKENS - 1)
    assert PipelineSettings(token_budget=MAX_TOKENS).token_budget == MAX_TOKENS
