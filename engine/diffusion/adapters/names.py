"""Which weight a tensor of an adapter file belongs to. Several programs write such files, each with its own names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from engine.diffusion.families import FAMILIES
from engine.values.weights import Weights

SUFFIXES = {
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B": "up",
    ".lora_A": "down",
    ".alpha": "alpha",
    ".dora_scale": "dora_scale",
    ".diff": "diff",
    ".w_norm": "diff",
    ".diff_b": "bias",
    ".b_norm": "bias",
    **{f".hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
}
"""End of a tensor's name -> its role in the adapter of one module."""


def split(name: str) -> tuple[str, str] | None:
    """The module's name as the file spells it, and the tensor's role; None for a tensor of no known role."""
    for suffix, role in SUFFIXES.items():
        if name.endswith(suffix):
            return name[: -len(suffix)].replace(".processor.", "."), role
    return None


@lru_cache(maxsize=32)
def modules(weights: Weights) -> dict[str, str]:
    """Every spelling of every module of a network -> the module's own path."""
    family = FAMILIES[weights.family]
    part = family.parts[weights.part]
    renaming = part.renaming(weights.arguments)
    paths = {name.rpartition(".")[0] for name in part.tensor_shapes(weights.arguments)}
    return {
        spelling: path
        for path in sorted(paths)
        for prefix in family.adapters[weights.part]
        for spelling in _spellings(prefix, [path, renaming.to_stored(path) or path])
    }


def _spellings(prefix: str, paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        for form in {path, path.removesuffix(".0") if path.endswith("to_out.0") else path}:
            yield prefix + (form.replace(".", "_") if prefix.endswith("_") else form)
