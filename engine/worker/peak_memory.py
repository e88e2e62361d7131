"""The most memory that was in use while something ran, as the device's driver or the system counts it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Peak = Callable[[], int | None]
"""The most bytes since it was made; None where nobody counts."""


def measurer(device: str) -> Callable[[], Peak]:
    """What begins a measurement: of the memory of a graphics device, else of the process's main memory (Linux only)."""
    torch: Any = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None:

        def begin_on_device() -> Peak:
            torch.cuda.reset_peak_memory_stats(device)
            return lambda: int(torch.cuda.max_memory_allocated(device))

        return begin_on_device
    return _begin


def _begin() -> Peak:
    try:
        _RESET.write_text("5")  # the process's peak resident size starts anew (proc_pid_clear_refs(5))
    except OSError:
        return lambda: None
    return _resident_peak


def _resident_peak() -> int | None:
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024
