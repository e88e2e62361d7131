"""A random checkpoint with Stable Diffusion 1.5's tensor names (as recorded), but narrow: drawn from a seed, small enough for tests."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

REFERENCE = Path(__file__).parents[1] / "data" / "reference"

CONFIG = {"vae": {"norm_num_groups": 8}, "text_encoder": {"num_attention_heads": 4}}


def shapes() -> dict[str, list[int]]:
    """Recorded names; U-Net a tenth as wide, VAE an eighth, text encoder of width 64 with two layers."""
    recorded = json.loads((REFERENCE / "sd15_keys.json").read_text())
    return {name: _narrow(name, shape) for name, shape in recorded.items() if not _late_layer(name)}


def _narrow(name: str, shape: list[int]) -> list[int]:
    if name.startswith("cond_stage_model"):
        return [{768: 64, 3072: 256}.get(extent, extent) for extent in shape]
    if name.startswith("first_stage_model"):
        return [extent // 8 if extent >= 128 else extent for extent in shape]
    return [64 if extent == 768 else extent // 10 if extent >= 320 else extent for extent in shape]


def _late_layer(name: str) -> bool:
    _, layers, rest = name.partition("encoder.layers.")
    return bool(layers) and int(rest.split(".")[0]) >= 2


def tensors() -> dict[str, Tensor]:
    """A fresh table of the same tensors, float16."""
    return dict(_tensors())


@cache
def _tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    found = {}
    for name, shape in sorted(shapes().items()):
        value = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            value = value * 0.02 + float(name.endswith("weight"))
        else:
            value = value * (0.02 if "embedding" in name else value[0].numel() ** -0.5)
        found[name] = value.half()
    return found


def write(path: Path, found: dict[str, Tensor] | None = None, metadata: dict[str, str] | None = None) -> Path:
    save_file(found or tensors(), path, {"easel.config": json.dumps(CONFIG), **(metadata or {})})
    return path
