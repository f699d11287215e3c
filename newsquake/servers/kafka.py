"""Apache Kafka from an unpacked distribution: one KRaft node on loopback, its data kept across starts and crashes."""

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from newsquake.errors import PartMissing, ServerError
from newsquake.servers.kafka_probe import broker_answers
from newsquake.servers.ports import LOOPBACK, claim
from newsquake.servers.process import Command, Process, Watch, unwatched, wait_ready

_READY_SECONDS = 90.0
# The serial collector and a small heap: the broker shares this machine with a classifier.
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
_QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # After a crash the node may register again only once its old session is over.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "log.segment.bytes": "67108864",
}


class Kafka:
    """One Kafka node (broker and controller) on 127.0.0.1; `home` is the distribution with its `libs/`.

    `advertised` is the `host:port` of a proxy: whoever comes by `outside_port` is told to come by it from then on,
    while clients of `address` stay with `address`.
    """

    name: str = "kafka"
    durable: bool = True

    def __init__(
        self,
        home: Path,
        data: Path,
        log: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        advertised: str | None = None,
        watch: Watch = unwatched,
    ) -> None:
        self.data = data.absolute()
        self.port = claim(port, "NEWSQUAKE_KAFKA_PORT")
        self.controller_port = claim(controller_port, "NEWSQUAKE_KAFKA_CONTROLLER_PORT")
        self.outside_port = claim(None, "NEWSQUAKE_KAFKA_PORT") if advertised else self.port
        self._advertised = advertised
        self._process = Process(self.name, log, watch=watch)
        self._run = (_java(), *_JVM, _QUIET, "-cp", f"{_libraries(home)}/*")

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
        return self.pid is not None and broker_answers(self.port)

    def start(self) -> None:
        """Format the data directory on first use, start, and return once the broker answers (about 3 s)."""
        self.data.mkdir(parents=True, exist_ok=True)
        properties = self._write_properties()
        if not (self.data / "log" / "meta.properties").exists():
            self._format(properties)
        self._process.spawn(Command((*self._run, "kafka.Kafka", str(properties))))
        wait_ready(self._process, lambda: broker_answers(self.port), _READY_SECONDS)

    def stop(self, grace: float = 5.0) -> None:
        """SIGTERM for a clean shutdown, then SIGKILL, from which the next start recovers."""
        self._process.stop(grace)

    def kill(self) -> None:
        """SIGKILL at once."""
        self._process.kill()

    def tail(self) -> str:
        """The end of the log."""
        return self._process.tail()

    def _write_properties(self) -> Path:
        here = {
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": str(self.data / "log"),
        }
        if self._advertised:
            here["listeners"] += f",OUTSIDE://{LOOPBACK}:{self.outside_port}"
            here["advertised.listeners"] += f",OUTSIDE://{self._advertised}"
        properties = self.data / "server.properties"
        lines = [f"{key}={_escaped(value)}\n" for key, value in {**_SETTINGS, **here}.items()]
        properties.write_text("".join(lines), "utf-8")
        return properties

    def _format(self, properties: Path) -> None:
        options = ("--ignore-formatted", "--cluster-id", self._cluster_id(), "--config", str(properties))
        command = (*self._run, "kafka.tools.StorageTool", "format", *options)
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            said = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[:3])
            raise ServerError(f"Kafka cannot format {self.data}: {said}")

    def _cluster_id(self) -> str:
        """Drawn once and kept: a node never joins another cluster's log."""
        kept = self.data / "cluster-id"
        if not kept.exists():
            drawn = "-"
            while drawn.startswith("-"):  # which the formatter would take for an option
                drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            kept.write_text(drawn + "\n", "utf-8")
        return kept.read_text("utf-8").strip()


def _escaped(value: str) -> str:
    """A value as Java's properties format wants it: UTF-16 escapes for what is not ASCII."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)


def _libraries(home: Path) -> Path:
    libraries = home.expanduser().absolute() / "libs"
    if not any(libraries.glob("kafka-server-*.jar")) and not any(libraries.glob("kafka_*.jar")):
        raise PartMissing(f"NEWSQUAKE_KAFKA_HOME={home} is not an unpacked Apache Kafka: {libraries} has no Kafka jars")
    return libraries


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME={home}" if home else "PATH"
        raise PartMissing(f"Apache Kafka needs Java 17 or newer, and there is no java in {where}")
    return found
