"""The scheduler process: APScheduler ticks, the leader evaluates what has settled and delivers the outbox.

Ticks hold no state: a missed, late or repeated one changes nothing but the hour of the message. A database that is away
is one line in the log and another try with the next tick; a schema that is missing ends the process at once.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from alerts import store
from alerts.channels import Channel, open_channels
from alerts.clockwork import wind
from alerts.evaluate import tick
from alerts.leader import KEEP_SECONDS, Leadership
from alerts.outbox import deliver
from alerts.rulebook import Rulebook
from alerts.settings import AlertsSettings
from alerts.upkeep import Upkeep
from alerts.watermark import last_report
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings

log = structlog.get_logger()

_REPLAY_SECONDS = 1.0
_LAST_JOBS_SECONDS = 4.0


def run_scheduler(storage_settings: StorageSettings, alerts_settings: AlertsSettings, stop: threading.Event) -> None:
    """Evaluate and notify until `stop` is set; then return within five seconds.

    Raises `SchemaMissing` where the database is not at this release's revision, `DatabaseUnreachable` where it does
    not answer at the start, `InvalidUrl`, `InvalidChannel` and `InvalidRule` for settings that cannot work.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of every tick that a long one outlasts
    channels = open_channels(alerts_settings)
    engine = open_engine(storage_settings, application="newsquake-scheduler", pool_size=5)
    seconds = min(alerts_settings.tick_seconds, _REPLAY_SECONDS if alerts_settings.replay else float("inf"))
    rounds = _Rounds(engine, alerts_settings, channels, Rulebook(alerts_settings), stop)
    try:
        migrate.check(engine, patience=migrate.PATIENCE)
        scheduler = BackgroundScheduler(timezone=UTC)
        job = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None, "next_run_time": datetime.now(UTC)}
        scheduler.add_job(rounds.run, "interval", seconds=seconds, id="evaluate", **job)
        scheduler.add_job(rounds.leadership.keep, "interval", seconds=KEEP_SECONDS, id="lead", **job)
        Upkeep(engine, storage_settings, stop).register(scheduler)
        scheduler.start()
        stop.wait()
        leaving = threading.Thread(target=scheduler.shutdown, name="leaving", daemon=True)  # waits for what still runs
        leaving.start()
        leaving.join(_LAST_JOBS_SECONDS)
    finally:
        rounds.leadership.release()
        engine.dispose()


@dataclass(slots=True)
class _Rounds:
    """One round a tick, whatever happens: an exception that left it would only be seen in APScheduler's own log."""

    engine: Engine
    settings: AlertsSettings
    channels: Mapping[str, Channel]
    rulebook: Rulebook
    stop: threading.Event
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    leadership: Leadership = field(init=False)
    told: str = ""
    silent: bool = False

    def __post_init__(self) -> None:
        self.leadership = Leadership(self.engine)

    def run(self) -> None:
        try:
            if not self.stop.is_set():
                self._round()
        except DBAPIError as error:
            gone = error.connection_invalidated or isinstance(error, OperationalError)
            self._tell("database_unreachable" if gone else "evaluation_failed", _reason(error))
        except Exception as error:
            log.exception("evaluation_failed", reason=str(error))

    def _round(self) -> None:
        if not self.leadership.held():
            self._tell("standing_by", "another scheduler leads")
            return
        self._tell("leading", "this scheduler evaluates and notifies")
        self._watch_workers()
        with self.engine.connect() as connection:
            rules = self.rulebook.read(connection)
        done = tick(self.engine, self.settings, self.clock(), rules=rules, stopping=self.stop.is_set)
        if done.changes:
            log.info("alerts_changed", changes=done.changes, minutes=done.minutes, next_minute=str(done.next_minute))
        steps = 0 if self.stop.is_set() else wind(self.engine, self.settings, rules, self.clock())
        if steps:
            log.info("alerts_due", steps=steps)
        if not self.stop.is_set():
            deliver(self.engine, self.channels, self.settings, self.clock())

    def _watch_workers(self) -> None:
        """Say once that evaluation waits for workers that report no more."""
        with self.engine.connect() as connection:
            last = last_report(store.read_progress(connection))
        silent = last is not None and self.clock() - last > timedelta(seconds=self.settings.silent_workers_seconds)
        if silent and not self.silent:
            log.warning("workers_silent", since=str(last), effect="no minute is evaluated until a worker reports again")
        self.silent = silent

    def _tell(self, event: str, reason: str) -> None:
        """Log a state once, when it begins."""
        if event != self.told:
            (log.info if event in ("leading", "standing_by") else log.warning)(event, reason=reason)
        self.told = event


def _reason(error: DBAPIError) -> str:
    """The driver's first line, without SQL, values or URL."""
    return str(error.orig).strip().partition("\n")[0]
