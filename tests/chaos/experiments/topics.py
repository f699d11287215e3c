"""Topics under the workers' feet: deleted and made again, or cut short by retention before they were read."""

import json
import signal
import time
from random import Random

from kafka import TopicPartition

from pipeline.topics import admin, create_topics
from storage.progress import read_progress
from tests.chaos.experiments.base import Experiment
from tests.chaos.ledger import VERY_STILL
from tests.chaos.world import World

_SETTLE = 60.0


def _recreated(world: World, rng: Random) -> None:
    """Each time more messages follow than the topic had before, so that an old offset lies among the new ones."""
    ways = (_before_their_eyes, _behind_their_backs, _while_they_are_away, _with_messages_unread)
    for number, how in enumerate(ways):
        if not world.ledger.settle(_SETTLE, still=VERY_STILL):
            world.unsaid = "all that was sent before the topic's deletion"  # which must not go unread, but for the last
            return
        time.sleep(1.5)  # the last offsets are committed
        how(world, rng.choice(list(world.direct.topics)), rng, 1_500 + 500 * number)
    time.sleep(2)


def _before_their_eyes(world: World, topic: str, rng: Random, count: int) -> None:
    _recreate(world, topic)
    _send(world, count)


def _behind_their_backs(world: World, topic: str, rng: Random, count: int) -> None:
    """The workers cannot see the broker meanwhile, and find the topic as if nothing had happened."""
    rng.choice((world.broker_proxy.stall, world.broker_proxy.refuse))()
    _recreate(world, topic)
    _send(world, count)
    world.broker_proxy.heal()


def _while_they_are_away(world: World, topic: str, rng: Random, count: int) -> None:
    world.fleet.remove_all()
    _recreate(world, topic)
    _send(world, count)
    world.fleet.add(world.plan.workers)


def _with_messages_unread(world: World, topic: str, rng: Random, count: int) -> None:
    """What the workers knew to be waiting is gone with the topic, and must be told."""
    _send(world, 4_000)
    time.sleep(1.5)  # a report of the new ends
    world.fleet.remove_all(signal.SIGKILL)
    with world.database.connect() as connection:
        known = {place: entry for place, entry in read_progress(connection).items() if place[0] == topic}
    ends = world.traffic.ends()
    for place, entry in known.items():
        world.traffic.excuse(place, entry.next_offset, ends.get(place, 0))
    _recreate(world, topic)
    _send(world, count)
    world.fleet.add(world.plan.workers)
    world.ledger.settle(_SETTLE, still=VERY_STILL)
    told = _told(world.fleet.log)
    unread = {place: entry.end_offset - entry.next_offset for place, entry in known.items()}
    if not any(unread.values()):
        raise LookupError("the workers had read everything before they were killed")
    world.unsaid = ", ".join(f"{t}/{p}: {n} lost" for (t, p), n in unread.items() if n and (t, p, n) not in told)


def _send(world: World, count: int) -> None:
    world.traffic.send(count)
    world.traffic.flush()


def _recreate(world: World, topic: str) -> None:
    client = admin(world.direct)
    client.delete_topics([topic])
    while topic in client.list_topics():
        time.sleep(0.1)
    client.close()
    world.ledger.forget(topic)
    create_topics(world.direct)


def _retention(world: World, rng: Random) -> None:
    world.ledger.settle(_SETTLE)
    world.fleet.remove_all()
    _send(world, 1_500)
    committed = world.ledger.committed()
    cuts: dict[TopicPartition, int] = {}
    skipped: dict[tuple[str, int], int] = {}
    for partition, end in sorted(world.traffic.ends().items()):
        start = committed.get(partition, 0)
        if end - start < 2 or rng.random() < 0.3:
            continue
        cuts[TopicPartition(*partition)] = cut = rng.randint(start + 1, end - 1)
        skipped[partition] = cut - start
        world.traffic.excuse(partition, start, cut)
    client = admin(world.direct)
    client.delete_records(cuts)
    client.close()
    world.fleet.add(world.plan.workers)
    _send(world, 300)
    world.ledger.settle(_SETTLE)
    told = _told(world.fleet.log)
    world.unsaid = ", ".join(f"{t}/{p}: {n} lost" for (t, p), n in skipped.items() if (t, p, n) not in told)


def _told(log: str) -> set[tuple[str, int, int]]:
    """(topic, partition, number) of every loss that some worker has logged as critical."""
    found = set()
    for line in log.splitlines():
        if '"messages_lost"' in line:
            entry = json.loads(line)
            if entry["level"] == "critical":
                found.add((entry["topic"], entry["partition"], entry["lost"]))
    return found


EXPERIMENTS = (
    Experiment(
        "topic-recreated",
        "topics are deleted and made again: before running workers, behind their backs, while they are away, half read",
        "nameless",
        _recreated,
        rate=0,
        audited=False,
        durable=True,
    ),
    Experiment(
        "retention",
        "the log's start overtakes stopped workers: said with its number, never skipped in silence",
        "silent",
        _retention,
        rate=0,
        durable=True,
    ),
)
