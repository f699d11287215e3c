"""Worker processes of a run, as an operator starts them: `newsquake worker` and its environment."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import BenchError
from bench.pipeline.servers import Servers
from newsquake.stack.program import Program
from pipeline.settings import PipelineSettings
from storage.settings import StorageSettings

WORKER = ("-m", "newsquake", "worker")
CONSTANT = ("-m", "bench.pipeline.constant_worker")

_ROOT = Path(__file__).parents[2]


def environment(pipeline: PipelineSettings, storage: StorageSettings) -> dict[str, str]:
    """What a worker needs to work with these topics and this database; all else is at its default."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")}
    paths = [str(_ROOT), *filter(None, [own.get("PYTHONPATH")])]
    return own | {
        "NEWSQUAKE_PIPELINE_BROKER": pipeline.broker,
        "NEWSQUAKE_PIPELINE_GROUP": pipeline.group,
        "NEWSQUAKE_PIPELINE_NEWS_TOPIC": pipeline.news_topic,
        "NEWSQUAKE_PIPELINE_COMMENTS_TOPIC": pipeline.comments_topic,
        "NEWSQUAKE_PIPELINE_DEAD_LETTER_TOPIC": pipeline.dead_letter_topic,
        "NEWSQUAKE_STORAGE_URL": storage.url.get_secret_value(),
        "PYTHONPATH": os.pathsep.join(paths),
    }


class Workers:
    """Started on entry, ended on exit; they must not end in between."""

    def __init__(
        self,
        servers: Servers,
        pipeline: PipelineSettings,
        storage: StorageSettings,
        *,
        argv: Sequence[str] = WORKER,
        count: int = 1,
    ) -> None:
        # A worker that does not end in time is killed and leaves its scratch folder: inside that of the run.
        env = environment(pipeline, storage) | {"TMPDIR": str(servers.folder)}
        log = servers.folder / f"{pipeline.group}.log"
        self._servers = servers
        self._programs = [
            Program(
                f"worker {number}", (sys.executable, *argv), env, log,
                on_line=lambda _: None, watch=servers.guardian.watch,
            )
            for number in range(count)
        ]  # fmt: skip

    def __enter__(self) -> Self:
        for program in self._programs:
            program.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._programs:
            program.stop(3)

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [program.pid for program in self._programs if program.pid]

    @property
    def parts(self) -> dict[str, list[int]]:
        """The processes whose work is accounted for: workers and servers."""
        return {"workers": self.pids} | {name: [pid] for name, pid in self._servers.pids.items()}

    def check(self) -> None:
        """Raise `BenchError` if one of them has ended."""
        for program in self._programs:
            if program.exit_code is not None:
                raise BenchError(f"{program.name} ended with code {program.exit_code}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of their log."""
        return next((line for program in self._programs for line in program.tail().splitlines()[-1:]), "no word")
