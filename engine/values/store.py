"""The tensor side of the disk cache: named tensors in safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from engine.errors import Unstorable


class SafetensorsStore:
    """Implements engine.graph.disk_tier.TensorStore. Tensors come back on the CPU, bit by bit as they were."""

    def write(self, path: Path, tensors: Mapping[str, Any]) -> None:
        """Raises Unstorable for what is no dense tensor, OSError if the file cannot be written."""
        plain: dict[str, torch.Tensor] = {}
        storages: set[int] = set()
        for name, value in tensors.items():
            tensor = _dense(name, value).detach().cpu().contiguous()
            storage = tensor.untyped_storage().data_ptr()
            plain[name] = tensor.clone() if storage in storages else tensor
            storages.add(storage)
        try:
            save_file(plain, path)
        except SafetensorError as error:
            raise OSError(f"{path.name} cannot be written: {error}") from error

    def read(self, data: bytes) -> dict[str, Any]:
        """Raises ValueError for damaged content."""
        try:
            return load(data)
        except SafetensorError as error:
            raise ValueError(f"The tensors cannot be read: {error}") from error


def _dense(name: str, value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_meta or value.is_quantized:
        raise Unstorable(f"{name} is a {type(value).__name__} that a safetensors file cannot hold.")
    return value
