"""Everything on this machine: PostgreSQL, a Kafka broker, workers and the scheduler, started and stopped as one.

Servers come first, then schema and topics, then the programs, which find the servers by the very environment variables
that people export. Nothing of it is special to one machine but the servers' addresses.
"""

import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import psycopg
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from newsquake.errors import ServerError, StackError
from newsquake.servers.kafka import Kafka
from newsquake.servers.postgres import Postgres
from newsquake.servers.server import Part, Server
from newsquake.servers.tansu import Tansu
from newsquake.settings import StackSettings
from newsquake.stack.choose import choose_broker, choose_postgres
from newsquake.stack.guardian import Guardian
from newsquake.stack.lock import lock_data_dir
from newsquake.stack.prepare import is_another_broker, prepare_database, prepare_topics
from newsquake.stack.program import Program
from newsquake.stack.supervisor import Supervisor
from storage.settings import StorageSettings

# Together under the ten seconds that most service managers give: 4.5 for the programs, then 3 for the servers.
PROGRAM_GRACE, SERVER_GRACE = 4.5, 3.0

Commands = Mapping[str, tuple[str, ...]]


def program_commands(workers: int) -> Commands:
    """The programs of the stack by name: `worker` (or `worker-1` …) and `scheduler`."""
    run = (sys.executable, "-m", "newsquake")
    names = ["worker"] if workers == 1 else [f"worker-{number}" for number in range(1, workers + 1)]
    return {**{name: (*run, "worker") for name in names}, "scheduler": (*run, "scheduler")}


def _patiently() -> bool:
    return False


class Stack:
    """The one-machine stack; `start` it, look at `lines` and `failed` while it runs, and `stop` it in any case.

    `commands` stands in for `program_commands` in tests. `start` raises any `StackError`.
    """

    def __init__(self, settings: StackSettings, *, replay: bool = False, commands: Commands | None = None) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.expanduser().absolute()
        self.log_dir = self.data_dir / "logs"
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self._replay = replay
        self._commands = program_commands(settings.workers) if commands is None else commands
        self._lock: int | None = None
        self._guardian: Guardian | None = None
        self._postgres: Postgres | None = None
        self._broker: Kafka | Tansu | None = None
        self._programs: list[Program] = []
        self.supervisor = Supervisor(self.say, self._restarted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def broker(self) -> str:
        """`host:port` of the broker."""
        address = self._broker.address if self._broker else self.settings.pipeline_broker
        return address or ""

    @property
    def broker_kind(self) -> str:
        """`Apache Kafka`, `Tansu, in memory` or `yours`."""
        if self._broker is None:
            return "yours"
        return "Apache Kafka" if self._broker.durable else "Tansu, in memory"

    @property
    def storage_url(self) -> str:
        """The database's URL, with its password if there is one."""
        if self._postgres:
            return self._postgres.url
        return self.settings.storage_url.get_secret_value() if self.settings.storage_url else ""

    @property
    def shown_storage_url(self) -> str:
        """The database's URL fit for showing."""
        try:
            return make_url(self.storage_url).render_as_string(hide_password=True)
        except ArgumentError:
            return "?"

    @property
    def psql(self) -> str:
        """A psql to run: the one on the path, else the one beside the server."""
        return "psql" if self._postgres is None or shutil.which("psql") else self._postgres.psql

    @property
    def storage(self) -> StorageSettings:
        """Storage settings that name this stack's database."""
        return StorageSettings(url=SecretStr(self.storage_url))

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that any part of Newsquake works with this stack."""
        return {"NEWSQUAKE_PIPELINE_BROKER": self.broker, "NEWSQUAKE_STORAGE_URL": self.storage_url}

    def programs(self) -> list[Program]:
        """Workers and scheduler."""
        return list(self._programs)

    def workers(self) -> list[Program]:
        """The worker processes."""
        return [program for program in self._programs if program.name.startswith("worker")]

    def servers(self) -> list[Server]:
        """The servers that this stack started; those of the user are not among them."""
        return [server for server in (self._postgres, self._broker) if server]

    def say(self, line: str) -> None:
        """Show a line to whoever reads `lines`; safe from any thread."""
        self.lines.put(line)

    @property
    def failed(self) -> StackError | None:
        """Why going on is pointless."""
        return self.supervisor.failed

    def start(self) -> None:
        """Start everything; returns once the servers answer and the programs are spawned. Raises `StackError`."""
        try:
            self.log_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"{self.data_dir} cannot be used ({error.strerror}); set NEWSQUAKE_DATA_DIR") from None
        self._lock = lock_data_dir(self.data_dir)
        self._guardian = Guardian(hold=(self._lock,))
        self._postgres = choose_postgres(self.settings, self.data_dir, self._guardian.watch)
        self._broker = choose_broker(self.settings, self.data_dir, self._guardian.watch)
        self._start_servers()
        self._prepare()
        self._start_programs(self._guardian)
        parts: list[Part] = [*self.servers(), *self._programs]
        for part in parts:
            self.supervisor.watch(part)

    def stop(self, hurry: Callable[[], bool] = _patiently) -> None:
        """End programs, then servers, within ten seconds; `hurry` is asked all the while whether to use force now."""
        self.stopping.set()
        self.supervisor.close()
        self._stop_parts(self._programs, PROGRAM_GRACE, hurry)
        self._stop_parts(self.servers(), SERVER_GRACE, hurry)
        self.supervisor.join(2)
        # A restart that was under way when the parts were stopped may have spawned one more.
        self._stop_parts([*self._programs, *self.servers()], 0.5, hurry)
        if self._guardian:
            self._guardian.close()
        if self._lock is not None:
            os.close(self._lock)
        self._guardian, self._lock = None, None

    def _start_servers(self) -> None:
        servers = self.servers()
        if not servers:
            return
        with ThreadPoolExecutor(len(servers)) as pool:
            starts = [pool.submit(server.start) for server in servers]
            going = set(starts)
            failures: list[BaseException] = []  # the first is the cause: the others were killed because of it
            while going:
                done, going = wait(going, timeout=0.1, return_when=FIRST_EXCEPTION)
                failures += [error for start in done if (error := start.exception())]
                if self.stopping.is_set() or failures:
                    for server in servers:
                        server.kill()
        if not failures:
            return
        if isinstance(failures[0], (OSError, psycopg.Error)):
            raise ServerError(f"a server could not be started: {failures[0]}") from failures[0]
        raise failures[0]

    def _prepare(self) -> None:
        self._check_going_on()
        prepare_database(self.storage, forget_progress=is_another_broker(self._broker, self.data_dir))
        prepare_topics(self.broker)
        self._check_going_on()

    def _check_going_on(self) -> None:
        if self.stopping.is_set():
            raise StackError("interrupted while starting")

    def _start_programs(self, guardian: Guardian) -> None:
        env = {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}
        if self._replay:
            env["NEWSQUAKE_ALERTS_REPLAY"] = "true"
        for name, argv in self._commands.items():
            log = self.log_dir / f"{name}.log"
            program = Program(name, argv, env, log, on_line=self.say, watch=guardian.watch)
            self._programs.append(program)
            program.start()

    def _restarted(self, part: Part) -> None:
        """An embedded broker comes back empty: topics anew, and workers that forget the offsets of the old one."""
        if part is not self._broker or self._broker.durable:
            return
        self.say(f"WARNING: {part.name} keeps messages in memory only: those not consumed before it died are gone")
        try:
            prepare_topics(self.broker)
            self._stop_parts(self.workers(), PROGRAM_GRACE)
            prepare_database(self.storage, forget_progress=True)
        except StackError as error:
            self.say(f"{part.name} came back, but: {error}")
            part.stop(0)  # which makes the supervisor try once more

    def _stop_parts(self, parts: Sequence[Part], grace: float, hurry: Callable[[], bool] = _patiently) -> None:
        threads = [threading.Thread(target=part.stop, args=(grace,), daemon=True) for part in parts]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if hurry():
                for part in parts:
                    part.kill()
            time.sleep(0.02)
