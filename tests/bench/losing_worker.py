"""The worker with the constant classifier, broken on purpose: it tells of progress and loses a document a batch."""

import sys
from collections.abc import Sequence
from typing import Any

from bench.pipeline.constant_worker import main
from storage.writer import BatchWriter, ScoredDocument

_whole = BatchWriter.write


def _lossy(self: BatchWriter, batch: Sequence[ScoredDocument], *progress: Any) -> int:
    return _whole(self, list(batch)[1:], *progress)


if __name__ == "__main__":
    BatchWriter.write = _lossy  # type: ignore[method-assign]
    sys.exit(main())
