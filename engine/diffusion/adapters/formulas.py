"""What each kind of adapter adds to a weight. All in float32; results have the weight's shape.

Sources: LoRA (Hu et al. 2021), LyCORIS: LoCon, LoHa, LoKr, GLoRA (Yeh et al. 2023), (IA)^3 (Liu et al. 2022), DoRA (Liu et al. 2024).
Products are formed only when their size is the weight's: two thin matrices of a small file can ask for any amount of memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from engine.diffusion.adapters.rotations import rotated

Tensors = Mapping[str, Tensor]
"""The tensors of one module, float32 on the weight's device, by role (names.py)."""


def merged(weight: Tensor, tensors: Tensors, strength: float) -> Tensor:
    """The weight with the adapter at this strength. Raises KeyError for an adapter of which a part is missing, RuntimeError and
    ValueError for shapes that do not fit."""
    if "oft_blocks" in tensors:
        return rotated(weight, tensors, strength)
    delta = delta_of(weight, tensors)
    if "dora_scale" in tensors:
        return weight + strength * (_dora(weight, delta, tensors["dora_scale"]) - weight)
    return weight + strength * delta


def delta_of(weight: Tensor, tensors: Tensors) -> Tensor:
    """What an adapter that adds adds at strength 1, before any magnitude (DoRA)."""
    if "diff" in tensors:
        delta = tensors["diff"]
    elif "hada_w1_a" in tensors:
        delta = _hadamard(weight, tensors)
    elif any(role.startswith("lokr_") for role in tensors):
        delta = _kronecker(weight, tensors)
    elif any(role.startswith("glora_") for role in tensors):
        delta = _generalised(weight, tensors)
    elif "factors" in tensors:
        delta = _scaled(weight, tensors)
    else:
        delta = _low_rank(weight, tensors)
    return delta.reshape(weight.shape)


def scale_of(tensors: Tensors, rank: int) -> float:
    """alpha / rank; 1 where the file says no alpha."""
    if not rank:
        raise ValueError("its rank is 0")
    return tensors["alpha"].item() / rank if "alpha" in tensors else 1.0


def _product(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    _check(weight, up.shape[0] * down.shape[1])
    return up @ down


def _check(weight: Tensor, numbers: int) -> None:
    if numbers != weight.numel():
        raise ValueError(f"it makes {numbers} numbers where the weight has {weight.numel()}")


def _low_rank(weight: Tensor, tensors: Tensors) -> Tensor:
    """up @ down; for convolutions with a middle (a Tucker decomposition) up x mid x down."""
    up, down = tensors["up"], tensors["down"]
    rank = down.shape[0]
    if "mid" in tensors:
        return scale_of(tensors, rank) * _tucker(weight, tensors["mid"], up.flatten(1).T, down.flatten(1))
    return scale_of(tensors, rank) * _product(weight, up.flatten(1), down.flatten(1))


def _tucker(weight: Tensor, core: Tensor, out: Tensor, inward: Tensor) -> Tensor:
    """core [p, q, ...] with out [p, O] and inward [q, I] -> [O, I, ...]."""
    _check(weight, out.shape[1] * inward.shape[1] * prod(core.shape[2:]))
    return torch.einsum("p q ..., p o, q i -> o i ...", core, out, inward)


def _hadamard(weight: Tensor, tensors: Tensors) -> Tensor:
    """The elementwise product of two low-rank matrices."""
    halves = []
    for number in (1, 2):
        a, b, core = tensors[f"hada_w{number}_a"], tensors[f"hada_w{number}_b"], tensors.get(f"hada_t{number}")
        halves.append(_product(weight, a, b) if core is None else _tucker(weight, core, a, b))
    return scale_of(tensors, tensors["hada_w1_b"].shape[0]) * halves[0] * halves[1]


def _kronecker(weight: Tensor, tensors: Tensors) -> Tensor:
    """The Kronecker product of two matrices, each of which may be low-rank; a factor that is not has no alpha."""
    first, first_rank = _factor(weight, tensors, 1)
    second, second_rank = _factor(weight, tensors, 2)
    rank = second_rank or first_rank
    _check(weight, first.numel() * second.numel())
    first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim)).contiguous()
    return torch.kron(first, second.contiguous()) * (scale_of(tensors, rank) if rank else 1.0)


def _factor(weight: Tensor, tensors: Tensors, number: int) -> tuple[Tensor, int]:
    """One of the two matrices, and its rank or 0."""
    whole = tensors.get(f"lokr_w{number}")
    if whole is not None:
        return whole, 0
    a, b, core = tensors[f"lokr_w{number}_a"], tensors[f"lokr_w{number}_b"], tensors.get(f"lokr_t{number}")
    numbers = (a.shape[1] if core is not None else a.shape[0]) * b[0].numel() * (prod(core.shape[2:]) if core is not None else 1)
    if not numbers or weight.numel() % numbers:
        raise ValueError(f"a factor of {numbers} numbers does not divide the weight's {weight.numel()}")
    if core is not None:
        return torch.einsum("p q ..., p o, q i -> o i ...", core, a, b), b.shape[0]
    return (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:]), b.shape[0]


def _generalised(weight: Tensor, tensors: Tensors) -> Tensor:
    """GLoRA: the weight times a low-rank matrix, plus another. Older files have both products the other way round."""
    a1, a2, b1, b2 = (tensors[f"glora_{name}"].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    old = b2.shape[1] == b1.shape[0] == a1.shape[0] == a2.shape[1]
    new = b2.shape[0] == b1.shape[1] == a1.shape[1] == a2.shape[0]
    square = weight.shape[0] == weight.shape[1]
    if old and not (new and not (square and a2.shape[0] == weight.shape[0])):
        a1, a2, b1, b2 = a2, a1, b2, b1
    elif not new:
        raise ValueError("its four matrices do not fit each other")
    if a1.shape[0] != weight.shape[1] or a2.shape[1] != weight.shape[1]:
        raise ValueError("its matrices do not fit the weight's columns")
    inputs = torch.einsum("o i ..., i r, r j -> o j ...", weight, a1, a2)
    return scale_of(tensors, a1.shape[1]) * (inputs + _product(weight, b1, b2).reshape(weight.shape))


def _scaled(weight: Tensor, tensors: Tensors) -> Tensor:
    """(IA)^3: every row, or every column, times a number of its own."""
    factors = tensors["factors"].flatten()
    columns = bool(tensors["on_input"].flatten()[0])
    if factors.numel() != weight.shape[1 if columns else 0]:
        raise ValueError(f"it has {factors.numel()} factors")
    shape = [1] * weight.ndim
    shape[1 if columns else 0] = -1
    return weight * factors.reshape(shape)


def _dora(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """The changed weight with other norms: those of its output rows, or where the magnitude says so of its input columns."""
    changed = weight + delta
    epsilon = torch.finfo(weight.dtype).eps
    if magnitude.shape[0] == weight.shape[0]:
        norm = changed.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
    else:
        norm = changed.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
    return changed * (magnitude.reshape(norm.shape) / (norm + epsilon))
