"""A checksum of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def sum_of(tensors: Mapping[str, Tensor]) -> str:
    """Equal for equal names, formats, shapes and numbers, bit for bit; hexadecimal."""
    total = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return total.hexdigest()
