"""kohya's layout (sd-scripts): flat names, two matrices and an alpha per module. Readers of every program know it.

Alphas are made equal within a network, as diffusers reads no others rightly; the second matrix makes up for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.diffusion.adapters.low_rank import alpha_of, folded, is_low_rank, rank_of, usual
from engine.diffusion.adapters.reading import SWAPPED, Modules
from engine.diffusion.adapters.targets import kohya_name
from engine.diffusion.families.adapters import AdapterPart, Adapters
from engine.diffusion.families.family import Config
from engine.errors import InvalidInput

SUFFIXES = {
    "up": "lora_up.weight",
    "down": "lora_down.weight",
    "mid": "lora_mid.weight",
    "bias": "diff_b",
    "factors": "weight",
    **{f"glora_{name}": f"{name}.weight" for name in ("a1", "a2", "b1", "b2")},
}
"""Role -> end of the tensor's name, where it is not the role itself."""
NORM_SUFFIXES = {"diff": "w_norm", "bias": "b_norm"}
"""The same for a norm."""

MLP_RATIO = 4
"""Rows of the fourth of four joined modules (Flux's MLP) per row of the others."""


def write(parts: Mapping[str, Modules], adapters: Adapters, configs: Mapping[str, Config] | None = None) -> dict[str, Tensor]:
    """Tensors of networks' modules by kohya's names.

    configs: constructor arguments by network, where they are not the usual ones. Raises InvalidInput for what cannot be joined.
    """
    written = {}
    for name, modules in parts.items():
        part = adapters.parts[name]
        stored = _even(_stored(modules, part, (configs or {}).get(name)))
        for path, tensors in stored.items():
            base = kohya_name(part, path)
            ends = NORM_SUFFIXES if "diff" in tensors and tensors["diff"].ndim == 1 else SUFFIXES
            written.update({f"{base}.{ends.get(role, role)}": tensor for role, tensor in tensors.items()})
    return written


def _stored(modules: Modules, part: AdapterPart, config: Config | None) -> Modules:
    """The modules under stored paths; those that are one there are joined."""
    names = part.names(config)
    groups: dict[str, dict[int, dict[str, Tensor]]] = {}
    for path, tensors in modules.items():
        place = names.place(path)
        groups.setdefault(place.stored, {})[place.piece] = _in_stored_order(tensors, place.stored)
    return {stored: _joined(stored, pieces, len(names.modules(stored))) for stored, pieces in groups.items()}


def _in_stored_order(tensors: dict[str, Tensor], stored: str) -> dict[str, Tensor]:
    if not stored.endswith(SWAPPED) or "down" not in tensors or len(tensors["up"]) != 2 * tensors["down"].shape[1]:
        return tensors
    return {**tensors, "up": tensors["up"].roll(len(tensors["up"]) // 2, 0)}


def _joined(stored: str, pieces: Mapping[int, dict[str, Tensor]], count: int) -> dict[str, Tensor]:
    if count == 1:
        return pieces[0]
    if not all(is_low_rank(tensors) and tensors.keys() <= {"up", "down", "alpha"} for tensors in pieces.values()):
        raise InvalidInput(f"Only a LoRA's modules can be joined, and {stored} has others.", hint="Save it in the layout of diffusers.")
    parts = {piece: folded(tensors) for piece, tensors in pieces.items()}
    ranks = sum(rank_of(tensors) for tensors in parts.values())
    rows = [_rows(parts, piece, count) for piece in range(count)]
    up, down, column = torch.zeros(sum(rows), ranks), [], 0
    for piece, tensors in sorted(parts.items()):
        rank, first = rank_of(tensors), sum(rows[:piece])
        up[first : first + rows[piece], column : column + rank] = tensors["up"]
        down.append(tensors["down"].float())
        column += rank
    return {"up": up, "down": torch.cat(down), "alpha": torch.tensor(float(ranks))}


def _rows(parts: Mapping[int, dict[str, Tensor]], piece: int, count: int) -> int:
    """The rows of one of several joined modules, also of one that the adapter does not change."""
    if piece in parts:
        return len(parts[piece]["up"])
    tensors = next(iter(parts.values()))
    if count == 3:
        return len(tensors["up"])
    width = tensors["down"].shape[1]
    return width * MLP_RATIO if piece == count - 1 else width


def _even(modules: Modules) -> Modules:
    """One alpha for all modules of a network."""
    low_rank = {path for path, tensors in modules.items() if is_low_rank(tensors)}
    alpha = usual(alpha_of(modules[path]) for path in low_rank)
    return {path: _shaped(folded(tensors, alpha) if path in low_rank and alpha else tensors) for path, tensors in modules.items()}


def _shaped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Both matrices of a convolution with four dimensions."""
    if "up" in tensors and tensors["down"].ndim == 4 and tensors["up"].ndim == 2:
        return {**tensors, "up": tensors["up"][:, :, None, None]}
    return tensors
