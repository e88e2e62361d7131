"""Leaving out the network where its output can be foretold from the last one."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.diffusion.sampling.inside import between
from engine.diffusion.sampling.prediction import Prediction

log = logging.getLogger("easel.sampling")


@dataclass(frozen=True)
class Reuse:
    """When outputs are reused: Zhou et al. 2025, "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive
    Caching" (EasyCache).

    threshold: the network is left out while the estimated relative change of its output since it was last asked stays below this.
    start_percent, end_percent: the part of the schedule. guided: foretell the prediction after guidance (LazyCache) instead of what
    the network gives (EasyCache). verbose: log every decision.
    """

    threshold: float = 0.2
    start_percent: float = 0.15
    end_percent: float = 0.95
    guided: bool = False
    verbose: bool = False


class Change:
    """How fast an output changes with its input, learned within one run (the paper's transformation rate, equations 4 to 6).

    The input's change is measured from the last time the network was asked.
    """

    def __init__(self, reuse: Reuse, prediction: Prediction) -> None:
        self._reuse, self._prediction = reuse, prediction
        self._input: Tensor | None = None
        self._output: Tensor | None = None
        self._rate: float | None = None
        self._sum = 0.0

    def is_small(self, x: Tensor, sigma: Tensor) -> bool:
        """Whether the output for x may be foretold. Counts what is foretold up, so ask once per evaluation."""
        reuse = self._reuse
        if (
            self._input is None
            or self._input.shape != x.shape
            or not between(self._prediction, sigma, reuse.start_percent, reuse.end_percent)
        ):
            return False
        if self._rate is None or self._output is None:
            return False
        self._sum += self._rate * _mean(x - self._input) / max(_mean(self._output), 1e-12)
        small = self._sum < reuse.threshold
        if reuse.verbose:
            log.info("sigma %.4f: estimated change %.4f, %s", float(sigma), self._sum, "reused" if small else "computed")
        if not small:
            self._sum = 0.0
        return small

    def learn(self, x: Tensor, output: Tensor) -> None:
        """Take in what the network gave for x."""
        if self._input is not None and self._output is not None and self._input.shape == x.shape:
            moved = _mean(x - self._input)
            if moved > 0:
                self._rate = _mean(output - self._output) / moved
        self._input, self._output = x, output


def _mean(x: Tensor) -> float:
    return float(torch.mean(x.float().abs()))
