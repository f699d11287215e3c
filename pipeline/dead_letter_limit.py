"""When to stop dead-lettering: too many invalid messages mean a broken producer or a broken release, not bad messages.

Without a limit a worker would turn a whole topic into dead letters within minutes, and call it a success. After
`DlqLimit` of getsentry/arroyo (`arroyo/dlq.py`): a ratio and a run, for each partition on its own. Here the ratio is
that of a sliding window, so that a long healthy past does not hide a broken present.

Stands between scoring and sending: the processor observes a micro-batch before any letter of it is sent.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from pipeline.batches import RawMessage
from pipeline.dead_letters import DeadLetter
from pipeline.errors import DeadLetterLimitReached
from pipeline.reasons import Reason

Partition = tuple[str, int]

_ENOUGH = 10
"""The ratio is judged once a tenth of the window is seen: three bad messages at the start stop nobody."""
_STILL_THERE = "The messages are still in Kafka: nothing of this micro-batch was acknowledged or dead-lettered."


class DeadLetterLimit:
    """Counts invalid messages by partition. Not thread-safe; keeps `window` entries a partition at most.

    More than `max_ratio` (0 to 1) of the last `window` messages, or more than `max_run` in a row, is too much; None
    switches either off. The run is remembered over restarts (`assign`). The ratio is not, since it would go on to stop
    a worker that has been mended: each start may dead-letter up to a tenth of the window again. Every reason counts: a
    topic full of tombstones or of texts that break the classifier is as broken as one full of bad JSON. Replays do not
    count: whoever replays knows that they failed before.
    """

    def __init__(self, max_ratio: float | None, max_run: int | None, window: int = 1_000) -> None:
        self._max_ratio = max_ratio
        self._max_run = max_run
        self._window = window
        self._states: dict[Partition, _State] = {}
        self._recent: dict[Partition, dict[int, DeadLetter]] = {}

    def assign(self, partitions: Iterable[Partition], recent: Iterable[DeadLetter] | None = None) -> None:
        """Forget partitions that went to other workers; those that stay go on, new ones begin afresh.

        `recent` are the newest dead letters (`dead_letter_archive.recent`). Those right before the first message of a
        new partition count for its run, so that a worker which is started again stops again, and does not dead-letter
        another run at each start. None keeps those that were given before; they may be as old as they like.
        """
        kept = set(partitions)
        self._states = {partition: state for partition, state in self._states.items() if partition in kept}
        if recent is not None:
            self._recent = {}
            for letter in recent:
                self._recent.setdefault((letter.topic, letter.partition), {})[letter.offset] = letter

    def observe(self, messages: Sequence[RawMessage], dead: Sequence[DeadLetter]) -> None:
        """Count one micro-batch: all of its messages, each partition's in order, and those of them that are dead.

        Call it after the valid ones are stored and before the first letter is sent. Raises `DeadLetterLimitReached`
        where it is too much; then send no letter and acknowledge nothing of the micro-batch, not even what came before
        the limit: it all comes again, documents are idempotent, and no letter is sent twice. Messages that come again
        are not counted again.
        """
        reasons = {(letter.topic, letter.partition, letter.offset): letter.reason for letter in dead}
        for message in messages:
            partition = (message.topic, message.partition)
            state = self._states.get(partition)
            if state is None:
                run = _run_before(message.offset, self._recent.pop(partition, {}))
                state = self._states[partition] = _State(self._window, run)
            reason = reasons.get((*partition, message.offset))
            if message.replay_of is None and state.add(message.offset, reason) and reason:
                self._judge(partition, state)

    def _judge(self, partition: Partition, state: "_State") -> None:
        run, entries = state.run, state.entries
        if self._max_run is not None and run.reasons.total() > self._max_run:
            what = f"{run.reasons.total():,} messages in a row are invalid (at most {self._max_run:,} may be)"
            raise DeadLetterLimitReached(_sentence(partition, what, run, "DEAD_LETTER_RUN"))
        enough = len(entries) >= max(1, self._window // _ENOUGH)
        if self._max_ratio is not None and enough and state.invalid > self._max_ratio * len(entries):
            what = (
                f"{state.invalid:,} of the last {len(entries):,} messages are invalid "
                f"({state.invalid / len(entries):.0%}, at most {self._max_ratio:.0%} may be)"
            )
            invalid = _Run()
            for offset, reason in entries:
                if reason:
                    invalid.add(offset, reason)
            raise DeadLetterLimitReached(_sentence(partition, what, invalid, "DEAD_LETTER_RATIO"))


class _Run:
    """Invalid messages, counted: the first offset and how often each reason."""

    def __init__(self) -> None:
        self.first = 0
        self.reasons: Counter[Reason] = Counter()

    def add(self, offset: int, reason: Reason) -> None:
        self.first = self.first if self.reasons else offset
        self.reasons[reason] += 1


class _State:
    """What is known of one partition: the window, and the run that goes on."""

    def __init__(self, window: int, run: _Run) -> None:
        self.entries: deque[tuple[int, Reason | None]] = deque(maxlen=window)
        self.invalid = 0
        self.run = run
        self._newest = -1

    def add(self, offset: int, reason: Reason | None) -> bool:
        """Count a message; False where it was counted before."""
        if offset <= self._newest:
            return False
        self._newest = offset
        if len(self.entries) == self.entries.maxlen and self.entries[0][1]:
            self.invalid -= 1
        self.entries.append((offset, reason))
        if reason:
            self.invalid += 1
            self.run.add(offset, reason)
        else:
            self.run = _Run()
        return True


def _run_before(offset: int, letters: Mapping[int, DeadLetter]) -> _Run:
    """The dead letters without a gap right before `offset`."""
    first = next(before for before in count(offset, -1) if before - 1 not in letters)
    run = _Run()
    for before in range(first, offset):
        if letters[before].replay_of is None:
            run.add(before, letters[before].reason)
    return run


def _sentence(partition: Partition, what: str, invalid: _Run, setting: str) -> str:
    most, times = invalid.reasons.most_common(1)[0]
    return (
        f"{partition[0]}/{partition[1]}: {what}, from offset {invalid.first} on, "
        f"most often {most.value!r} ({times:,} times: {most.sentence.rstrip('.')}). {_STILL_THERE} "
        f"Mend the producer or this release, or raise NEWSQUAKE_PIPELINE_{setting} to dead-letter them all."
    )
