"""What each kind of adapter adds to a weight. All in float32; results have the weight's shape.

Sources: LoRA (Hu et al. 2021), LyCORIS: LoCon, LoHa, LoKr (Yeh et al. 2023), DoRA (Liu et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
"""The tensors of one module, float32 on the weight's device, by role (names.py)."""


def merged(weight: Tensor, tensors: Tensors, strength: float) -> Tensor:
    """The weight with the adapter at this strength. Raises KeyError for an adapter of which a part is missing, RuntimeError for
    shapes that do not fit."""
    delta = _delta(weight, tensors).reshape(weight.shape)
    if "dora_scale" in tensors:
        return weight + strength * (_dora(weight, delta, tensors["dora_scale"]) - weight)
    return weight + strength * delta


def _delta(weight: Tensor, tensors: Tensors) -> Tensor:
    if "diff" in tensors:
        return tensors["diff"]
    if "hada_w1_a" in tensors:
        return _hadamard(tensors)
    if any(role.startswith("lokr_") for role in tensors):
        return _kronecker(tensors)
    return _low_rank(tensors)


def _scale(tensors: Tensors, rank: int) -> float:
    """alpha / rank; 1 where the file says no alpha."""
    return tensors["alpha"].item() / rank if "alpha" in tensors else 1.0


def _low_rank(tensors: Tensors) -> Tensor:
    """up @ down; for convolutions with a middle (a Tucker decomposition) up x mid x down."""
    up, down = tensors["up"], tensors["down"]
    rank = down.shape[0]
    if "mid" in tensors:
        return _scale(tensors, rank) * _tucker(tensors["mid"], up.flatten(1).T, down.flatten(1))
    return _scale(tensors, rank) * (up.flatten(1) @ down.flatten(1))


def _tucker(core: Tensor, out: Tensor, inward: Tensor) -> Tensor:
    """core [p, q, ...] with out [p, O] and inward [q, I] -> [O, I, ...]."""
    return torch.einsum("p q ..., p o, q i -> o i ...", core, out, inward)


def _hadamard(tensors: Tensors) -> Tensor:
    """The elementwise product of two low-rank matrices."""
    halves = []
    for number in (1, 2):
        a, b, core = tensors[f"hada_w{number}_a"], tensors[f"hada_w{number}_b"], tensors.get(f"hada_t{number}")
        halves.append(a @ b if core is None else _tucker(core, a, b))
    return _scale(tensors, tensors["hada_w1_b"].shape[0]) * halves[0] * halves[1]


def _kronecker(tensors: Tensors) -> Tensor:
    """The Kronecker product of two matrices, each of which may be low-rank; a factor that is not has no alpha."""
    first, first_rank = _factor(tensors, 1)
    second, second_rank = _factor(tensors, 2)
    rank = second_rank or first_rank
    first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
    return torch.kron(first, second) * (_scale(tensors, rank) if rank else 1.0)


def _factor(tensors: Tensors, number: int) -> tuple[Tensor, int]:
    """One of the two matrices, and its rank or 0."""
    whole = tensors.get(f"lokr_w{number}")
    if whole is not None:
        return whole, 0
    a, b, core = tensors[f"lokr_w{number}_a"], tensors[f"lokr_w{number}_b"], tensors.get(f"lokr_t{number}")
    if core is not None:
        return _tucker(core, a, b), b.shape[0]
    return (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:]), b.shape[0]


def _dora(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """The changed weight at another magnitude: per output row, measured on the original weight; else per input column.

    That the rows' norm is the original's is what ComfyUI does; the paper takes the changed weight's.
    """
    changed = weight + delta
    epsilon = torch.finfo(weight.dtype).eps
    if magnitude.shape[0] == weight.shape[0]:
        norm = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
        magnitude = magnitude.reshape(norm.shape)
    else:
        norm = changed.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
        magnitude = magnitude.reshape(norm.shape)
    return changed * (magnitude / (norm + epsilon))
