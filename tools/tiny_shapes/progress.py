"""Where a long training leaves its state and says how far it is."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from engine.whole_files import replacing


def log(folder: Path, line: str) -> None:
    """Print the line with the time, and add it to `progress.txt` in the folder."""
    stamped = f"{time.strftime('%H:%M:%S')} {line}"
    print(stamped, flush=True)
    with (folder / "progress.txt").open("a", encoding="utf-8") as file:
        file.write(stamped + "\n")


def rate_factor(step: int, steps: int, warm_up: int) -> float:
    """What the learning rate is multiplied by: a linear warm-up, then a half cosine to 2%."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class Checkpoint:
    """The state of a training in one file, replaced whole, so that a stop at any moment loses little."""

    def __init__(self, path: Path, **parts: Any) -> None:
        self.path = path
        self.parts = parts

    def load(self) -> int:
        """Restore every part and return the number of steps done, 0 when there is no file."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])

    def save(self, step: int) -> None:
        with replacing(self.path) as beside:
            torch.save({"step": step, **{name: part.state_dict() for name, part in self.parts.items()}}, beside)
