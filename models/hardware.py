"""What this machine offers, told without importing torch."""

import os
from functools import cache
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/nvhost-gpu"), Path("/dev/dxg"), Path("/dev/kfd"))
"""Made by the drivers that torch's CUDA interface works on: NVIDIA's, on Jetson boards, under Windows; and AMD's."""


def find_device(wanted: str) -> str:
    """Return `cpu`, `cuda` or `cuda:N` for `auto`, `cpu` or `cuda[:N]`; torch is asked only where there may be a GPU.

    Raises:
        SettingsError: a GPU is asked for that is not there.
    """
    if wanted == "cpu" or (wanted == "auto" and not any(path.exists() for path in _GPU_DRIVERS)):
        return "cpu"
    from models.devices import pick_device

    return str(pick_device(wanted))


def usable_cores() -> int:
    """Return how many cores this process may use at once: its affinity, and its control group's quota if it has one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def cpu_multiplies_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    return bool({"avx512_bf16", "amx_bf16"} & _cpu_flags())


@cache
def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
