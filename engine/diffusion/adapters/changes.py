"""What an adapter adds to a weight, worked out without the model."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from engine.diffusion.adapters.formulas import delta_of
from engine.errors import InvalidInput, ModelFormatError

OF_WEIGHTS = ("oft_blocks", "glora_a1", "factors", "dora_scale")
"""Roles of adapters whose change depends on the weight."""
MOST_NUMBERS = 2**29
"""Of one weight: more than any network has."""


def is_matrix(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a module's change is one of a matrix, not of a norm or a bias alone."""
    return bool(tensors.keys() - {"diff", "bias", "alpha"}) or ("diff" in tensors and tensors["diff"].ndim > 1)


def change_of(tensors: Mapping[str, Tensor], path: str) -> tuple[Tensor, tuple[int, ...]]:
    """What an adapter adds, [O, I, ...] in float32, and the shape that the weight has."""
    if dependent := [role for role in OF_WEIGHTS if role in tensors]:
        raise InvalidInput(
            f"What the adapter does to {path} depends on the model ({dependent[0]}).",
            hint="Put it on a model with Load LoRA, and extract a LoRA from the two models.",
        )
    numbers = {role: tensor.float() for role, tensor in tensors.items() if role != "bias"}
    try:
        shape = _shape(tensors, path)
        if prod(shape) > MOST_NUMBERS:
            raise ValueError(f"it makes {prod(shape):,} numbers")
        return delta_of(torch.zeros(shape), numbers), shape
    except (KeyError, RuntimeError, IndexError, ValueError) as error:
        shapes = ", ".join(f"{role} {list(tensor.shape)}" for role, tensor in tensors.items())
        raise ModelFormatError(f"The tensors of {path} do not fit each other: {shapes}.", hint="The file may be damaged.") from error


def _shape(tensors: Mapping[str, Tensor], path: str) -> tuple[int, ...]:
    """The shape of the weight that an adapter is for, from its own tensors."""
    if "diff" in tensors:
        return tuple(tensors["diff"].shape)
    if "mid" in tensors:
        return (tensors["up"].shape[0], tensors["down"].shape[1], *tensors["mid"].shape[2:])
    if "up" in tensors:
        return (tensors["up"].shape[0], *tensors["down"].shape[1:])
    if "hada_w1_a" in tensors:
        if "hada_t1" in tensors:
            return (tensors["hada_w1_a"].shape[1], tensors["hada_w1_b"].shape[1], *tensors["hada_t1"].shape[2:])
        return _square_kernel(tensors["hada_w1_a"].shape[0], tensors["hada_w1_b"].shape[1], path)
    sizes = [_factor_shape(tensors, number) for number in (1, 2)]
    return (sizes[0][0] * sizes[1][0], sizes[0][1] * sizes[1][1], *sizes[1][2:])


def _factor_shape(tensors: Mapping[str, Tensor], number: int) -> tuple[int, ...]:
    whole = tensors.get(f"lokr_w{number}")
    if whole is not None:
        return tuple(whole.shape)
    a, b, core = tensors[f"lokr_w{number}_a"], tensors[f"lokr_w{number}_b"], tensors.get(f"lokr_t{number}")
    return (a.shape[1], b.shape[1], *core.shape[2:]) if core is not None else (a.shape[0], *b.shape[1:])


def _square_kernel(rows: int, columns: int, path: str) -> tuple[int, ...]:
    """The shape of a flattened weight: the convolutions between transformers that end so have 3x3 pixels."""
    return (rows, columns // 9, 3, 3) if path.endswith((".conv1", ".conv2", "samplers.0.conv")) and columns % 9 == 0 else (rows, columns)
