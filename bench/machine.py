"""What every benchmark prints first: the machine and the versions, so that a figure can be placed."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.hardware import usable_cores

_PACKAGES = ("torch", "transformers", "sqlalchemy", "psycopg")


def machine(packages: tuple[str, ...] = _PACKAGES) -> dict[str, object]:
    """Processor, usable cores and the versions of what is measured; a package that is not installed has none."""
    info = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line[:10] == "model name"]
        model = names[0] if names else model
    found = {name: _version(name) for name in packages}
    return {
        "cpu": model,
        "cores": usable_cores(),
        "python": platform.python_version(),
        **{name: number for name, number in found.items() if number},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
