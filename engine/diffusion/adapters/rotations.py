"""Adapters that turn a weight's rows instead of adding to it: OFT (Qiu et al. 2023) and BOFT (Liu et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def rotated(weight: Tensor, tensors: Mapping[str, Tensor], strength: float) -> Tensor:
    """The weight turned at this strength. Between 0 and 1 the matrices lie on the line from the identity, as everywhere in this field,
    and are then no rotations. Raises RuntimeError and ValueError for shapes that do not fit."""
    blocks = tensors["oft_blocks"]
    limit = tensors["alpha"].item() * weight.shape[0] if "alpha" in tensors else 0.0  # alpha is the constraint per row
    if blocks.ndim not in (3, 4) or blocks.shape[-1] != blocks.shape[-2]:
        raise ValueError("its blocks are not square")
    if blocks.ndim == 4 and blocks.shape[-1] % 2:
        raise ValueError(f"blocks of {blocks.shape[-1]} have no halves")
    rotation = _cayley(blocks, limit)
    identity = torch.eye(blocks.shape[-1], device=weight.device, dtype=weight.dtype)
    rotation = identity + strength * (rotation - identity)
    rows = weight.flatten(1)
    turned = _turned(rows, rotation.mT) if blocks.ndim == 3 else _butterfly(rows, rotation)
    if (rescale := tensors.get("rescale")) is not None:
        if rescale.numel() != len(rows):
            raise ValueError(f"it has {rescale.numel()} scales for {len(rows)} rows")
        turned = turned * (1 + strength * (rescale.reshape(-1, 1) - 1))
    return turned.reshape(weight.shape)


def _cayley(blocks: Tensor, limit: float) -> Tensor:
    """Orthogonal matrices from any square ones: (1 + Q)(1 - Q)^-1 with Q the difference from the transpose, its norm limited."""
    skew = blocks - blocks.mT
    if limit > 0:
        norm = skew.norm()
        if norm > limit:
            skew = skew * (limit / norm)
    identity = torch.eye(blocks.shape[-1], device=blocks.device, dtype=blocks.dtype)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def _turned(rows: Tensor, rotation: Tensor) -> Tensor:
    """rows [b * n, C], every block of n turned by its matrix of rotation [b, n, n]."""
    count, size, _ = rotation.shape
    if count * size != len(rows):
        raise ValueError(f"it has {count} blocks of {size} for {len(rows)} rows")
    return (rotation @ rows.reshape(count, size, -1)).reshape(rows.shape)


def _butterfly(rows: Tensor, rotation: Tensor) -> Tensor:
    """rows [N, C] turned by every factor of rotation [m, b, n, n] in turn; factor k mixes rows that lie 2^k half blocks apart."""
    half = rotation.shape[-1] // 2
    for level, factor in enumerate(rotation):
        apart = half << level
        if len(rows) % (2 * apart):
            raise ValueError(f"{len(rows)} rows cannot be mixed {apart} apart")
        mixed = rows.reshape(-1, 2, apart, rows.shape[1]).transpose(1, 2).reshape(rows.shape)
        mixed = _turned(mixed, factor)
        rows = mixed.reshape(-1, apart, 2, rows.shape[1]).transpose(1, 2).reshape(rows.shape)
    return rows
