"""What the scheduler does for the tables besides alerts: index what is stored, make days ahead, drop old ones.

Every scheduler does it, the leader or not: all of it may run twice at once. An error is a line in the log and another
try with the next turn.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.base import BaseScheduler
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from storage.errors import StorageError
from storage.partitions import ensure_ahead
from storage.retention import apply_retention
from storage.search import index_documents
from storage.settings import StorageSettings

log = structlog.get_logger()

INDEX_SECONDS = 3
_BATCH = 500  # documents indexed in a transaction: a fraction of a second, so that a stop is heard


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The jobs; none of them outlives `stop` by more than one transaction."""

    engine: Engine
    settings: StorageSettings
    stop: threading.Event
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def register(self, scheduler: BaseScheduler) -> None:
        """Add the jobs: indexing every three seconds, days ahead every hour, retention every day."""
        job = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None, "next_run_time": self.clock()}
        scheduler.add_job(self.index, "interval", seconds=INDEX_SECONDS, id="index", **job)
        scheduler.add_job(self.days_ahead, "interval", hours=1, id="days-ahead", **job)
        if self.settings.keep_days is not None:
            scheduler.add_job(self.retain, "interval", days=1, id="retention", **job)

    def index(self) -> None:
        """Index whatever waits for it."""
        self._run("indexing", self._index)

    def days_ahead(self) -> None:
        """Make the partitions of the days to come."""
        self._run("days_ahead", lambda: ensure_ahead(self.engine, self.clock()))

    def retain(self) -> None:
        """Drop the days that are older than the settings keep."""
        self._run("retention", self._retain)

    def _index(self) -> None:
        while not self.stop.is_set() and index_documents(self.engine, _BATCH):
            pass

    def _retain(self) -> None:
        days, keys = self.settings.keep_days, self.settings.keep_keys_days
        if days is None:
            return
        keep_keys = None if keys is None else timedelta(days=keys)
        done = apply_retention(self.engine, keep=timedelta(days=days), keep_keys=keep_keys, now=self.clock())
        early = done.documents_before_2000
        if done.days or done.keys or early:
            log.info(
                "retention_applied", days=len(done.days), before=str(done.before), keys=done.keys, before_2000=early
            )

    def _run(self, what: str, work: Callable[[], None]) -> None:
        if self.stop.is_set():
            return
        try:
            work()
        except (DBAPIError, StorageError) as error:
            if not self.stop.is_set():
                cause = error.orig if isinstance(error, DBAPIError) else error
                log.warning("upkeep_failed", what=what, reason=str(cause).strip().partition("\n")[0])
