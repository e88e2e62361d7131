"""LoRA modules as pairs of matrices: their scale, sums and products without forming the whole change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from engine.diffusion.adapters.formulas import scale_of


def is_low_rank(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a module has the two matrices of a LoRA and nothing between them."""
    return "up" in tensors and "down" in tensors and "mid" not in tensors


def rank_of(tensors: Mapping[str, Tensor]) -> int:
    return tensors["down"].shape[0]


def alpha_of(tensors: Mapping[str, Tensor]) -> float:
    """The module's alpha; its rank where it has none."""
    return tensors["alpha"].item() if "alpha" in tensors else float(rank_of(tensors))


def folded(tensors: Mapping[str, Tensor], alpha: float | None = None) -> dict[str, Tensor]:
    """The same change with another alpha, or with a scale of 1 (alpha = rank): the second matrix makes up for it, in float32."""
    wanted = float(rank_of(tensors)) if alpha is None else alpha
    up = tensors["up"].float()
    factor = alpha_of(tensors) / wanted
    return {**tensors, "up": up * factor if factor != 1.0 else up, "alpha": torch.tensor(wanted)}


def usual(numbers: Iterable[float]) -> float | None:
    """The most frequent of some numbers, the larger of two that are as frequent; None without any."""
    counts = Counter(numbers)
    return max(counts, key=lambda number: (counts[number], number), default=None)


def matrices(tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(up [O, r] with the scale in it, down [r, I]) in float64."""
    up, down = tensors["up"].double().flatten(1), tensors["down"].double().flatten(1)
    return up * scale_of(tensors, len(down)), down


def product_norm(up: Tensor, down: Tensor) -> float:
    """The Frobenius norm of up @ down by the small Gram matrices."""
    return float(((up.mT @ up) * (down @ down.mT)).sum().clamp(min=0).sqrt())


def difference(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> tuple[float, float]:
    """The norm of the difference of two changes, and that of the first."""
    (up, down), (other_up, other_down) = matrices(first), matrices(second)
    both = torch.cat([up, -other_up], 1), torch.cat([down, other_down], 0)
    return product_norm(*both), product_norm(up, down)
