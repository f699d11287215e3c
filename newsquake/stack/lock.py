"""One stack a data directory: an advisory file lock that the kernel lets go of when its last holder ends."""

import fcntl
import os
import time
from pathlib import Path

from newsquake.errors import DataDirBusy

_WAIT_SECONDS = 10.0


def lock_data_dir(folder: Path) -> int:
    """The open lock file; close it to let go. Raises `DataDirBusy` where another stack lives in `folder`.

    After a stack was killed its guardian holds the lock until the last child is gone; that is waited for.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            if _lives(owner) or time.monotonic() > deadline:
                os.close(descriptor)
                holder = f"process {owner}" if owner else "another process"
                raise DataDirBusy(
                    f"{folder} is in use by another stack ({holder}); end it, or choose another NEWSQUAKE_DATA_DIR"
                ) from None
            time.sleep(0.1)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def _lives(owner: str) -> bool:
    try:
        os.kill(int(owner), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
