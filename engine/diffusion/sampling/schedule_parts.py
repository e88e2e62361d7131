"""Schedules cut, turned round and refined. Sigmas are 1-D float32 tensors; nothing is written to."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The levels before and after a step; both parts hold the level in between."""
    return sigmas[: step + 1], sigmas[step:]


def split_by_denoise(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """The first steps and the last `denoise` share of them; with a share of none the first part is empty, as in ComfyUI."""
    last = round(max(len(sigmas) - 1, 0) * denoise)
    return sigmas[:-last] if last else sigmas[:0], sigmas[-(last + 1) :]


def flip(sigmas: Tensor) -> Tensor:
    """The levels from the last to the first, to run a picture back to noise; a first level of 0 becomes 0.0001."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = 0.0001
    return flipped


def with_first(sigmas: Tensor, sigma: float) -> Tensor:
    """The same levels with another first one."""
    changed = sigmas.clone()
    changed[:1] = sigma
    return changed


def refine(
    sigmas: Tensor, parts: int, start: float = math.inf, end: float = 0.0, spacing: Literal["linear", "cosine", "sine"] = "linear"
) -> Tensor:
    """Each step that begins at a level of end..start cut into `parts`, evenly, or slower at its end (cosine) or its beginning (sine).

    A negative start means no upper bound.
    """
    share = torch.linspace(0, 1, parts + 1)[1:-1]
    if spacing == "cosine":
        share = torch.sin(share * math.pi / 2)
    elif spacing == "sine":
        share = 1 - torch.cos(share * math.pi / 2)
    pieces = []
    for first, second in pairwise(sigmas):
        pieces.append(first[None])
        if end <= first <= (math.inf if start < 0 else start):
            pieces.append(first + (second - first) * share)
    return torch.cat([*pieces, sigmas[-1:]])
