"""The scheduler process: APScheduler ticks, the leader evaluates what has settled and delivers the outbox.

Ticks hold no state: a missed, late or repeated one changes nothing but the hour of the message. A database that is away
is one line in the log and another try with the next tick; a schema that is missing ends the process at once.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from alerts.channels import Channel, open_channels
from alerts.evaluate import tick
from alerts.leader import Leadership
from alerts.outbox import deliver
from alerts.settings import AlertsSettings
from storage import migrate
from storage.engine import open_engine
from storage.errors import DatabaseUnreachable
from storage.settings import StorageSettings

log = structlog.get_logger()

_REPLAY_SECONDS = 1.0
_LAST_TICK_SECONDS = 4.0


def run_scheduler(storage_settings: StorageSettings, alerts_settings: AlertsSettings, stop: threading.Event) -> None:
    """Evaluate and notify until `stop` is set; then return within five seconds.

    Raises `SchemaMissing` where the database is not at this release's revision, `InvalidUrl` and `InvalidChannel` for
    settings that cannot work. Waits for a database that does not answer yet.
    """
    channels = open_channels(alerts_settings)
    engine = open_engine(storage_settings, application="newsquake-scheduler", pool_size=3)
    seconds = min(alerts_settings.tick_seconds, _REPLAY_SECONDS if alerts_settings.replay else float("inf"))
    rounds = _Rounds(engine, alerts_settings, channels, stop)
    try:
        if not _wait_for_schema(engine, stop, seconds):
            return
        scheduler = BackgroundScheduler(timezone=UTC)
        job = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None, "next_run_time": datetime.now(UTC)}
        scheduler.add_job(rounds.run, "interval", seconds=seconds, id="evaluate", **job)
        scheduler.start()
        stop.wait()
        scheduler.shutdown(wait=False)
        rounds.idle.wait(_LAST_TICK_SECONDS)
    finally:
        rounds.leadership.release()
        engine.dispose()


def _wait_for_schema(engine: Engine, stop: threading.Event, seconds: float) -> bool:
    """Whether the schema is there; False where `stop` came first."""
    told = ""
    while not stop.is_set():
        try:
            migrate.check(engine)
        except DatabaseUnreachable as error:
            if str(error) != told:
                log.warning("database_unreachable", reason=str(error))
            told = str(error)
            stop.wait(seconds)
        else:
            return True
    return False


@dataclass(slots=True)
class _Rounds:
    """One round a tick, whatever happens: an exception that left it would only be seen in APScheduler's own log."""

    engine: Engine
    settings: AlertsSettings
    channels: Mapping[str, Channel]
    stop: threading.Event
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    leadership: Leadership = field(init=False)
    idle: threading.Event = field(default_factory=threading.Event)
    told: str = ""

    def __post_init__(self) -> None:
        self.leadership = Leadership(self.engine)
        self.idle.set()

    def run(self) -> None:
        self.idle.clear()
        try:
            if not self.stop.is_set():
                self._round()
        except DBAPIError as error:
            self._tell("database_unreachable" if error.connection_invalidated else "evaluation_failed", _reason(error))
        except Exception as error:
            log.exception("evaluation_failed", reason=str(error))
        finally:
            self.idle.set()

    def _round(self) -> None:
        if not self.leadership.held():
            self._tell("standing_by", "another scheduler leads")
            return
        self._tell("leading", "this scheduler evaluates and notifies")
        done = tick(self.engine, self.settings, self.clock(), stopping=self.stop.is_set)
        if done.changes:
            log.info("alerts_changed", changes=done.changes, minutes=done.minutes, next_minute=str(done.next_minute))
        if not self.stop.is_set():
            deliver(self.engine, self.channels, self.settings, self.clock())

    def _tell(self, event: str, reason: str) -> None:
        """Log a state once, when it begins."""
        if event != self.told:
            (log.info if event in ("leading", "standing_by") else log.warning)(event, reason=reason)
        self.told = event


def _reason(error: DBAPIError) -> str:
    """The driver's first line, without SQL, values or URL."""
    return str(error.orig).strip().partition("\n")[0]
