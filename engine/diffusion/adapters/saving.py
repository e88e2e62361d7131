"""Adapters into files: in a layout and a number format, with metadata, read back and compared before they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor

from engine.diffusion.adapters.layouts import LayoutName, write
from engine.diffusion.adapters.lora import load_lora
from engine.diffusion.adapters.low_rank import difference, is_low_rank
from engine.diffusion.adapters.metadata import About, Level, described, with_hashes
from engine.diffusion.adapters.reading import family_of, modules_of
from engine.diffusion.families.adapters import Adapters
from engine.errors import InvalidInput, NodeFailed
from engine.values.lora import Lora

FormatName = Literal["float16", "bfloat16", "float32"]
FORMATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5}
"""Largest relative error of a module's change that the rounding to a format explains."""


@dataclass(frozen=True)
class Style:
    """How a file is written. dtype: of the matrices."""

    layout: LayoutName = "kohya"
    dtype: FormatName = "float16"
    metadata: Level = "full"
    about: About = field(default_factory=About)


@dataclass(frozen=True)
class Exactness:
    """How near two adapters are. error: the largest relative error (Frobenius norms) of a module's change; module: which has it."""

    modules: int
    error: float
    module: str


def file_of(lora: Lora, style: Style, now: datetime | None = None) -> bytes:
    """The bytes of a safetensors file. Raises InvalidInput for an adapter that the layout cannot hold, ModelFormatError for one of no
    known family."""
    adapters = family_of(lora)
    parts, unknown = modules_of(lora, adapters)
    if not parts:
        raise InvalidInput("The LoRA changes nothing.", hint="Connect one that does.")
    if unknown and style.layout != "kohya":
        raise InvalidInput(
            f"{len(unknown)} tensors belong to no module, such as {unknown[0]}, and have no place in this layout.",
            hint="Use kohya's layout.",
        )
    written = write(style.layout, parts, adapters)
    tensors = {**written.tensors, **{name: lora.tensors[name] for name in unknown}}
    tensors = {name: _rounded(tensor, FORMATS[style.dtype]) for name, tensor in tensors.items()}
    metadata = {**written.metadata, **described(lora.metadata, parts, adapters, style.about, style.metadata, now or datetime.now())}
    data = save(tensors, metadata)
    return data if style.metadata == "none" else save(tensors, with_hashes(tensors, metadata, data))


def _rounded(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor of a file: contiguous, on the CPU. An alpha that the format cannot hold exactly stays as it is."""
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor.contiguous()
    rounded = tensor.to(dtype).contiguous().clone()
    return tensor.float().clone() if tensor.ndim == 0 and rounded.float() != tensor.float() else rounded


def write_lora(path: Path, lora: Lora, style: Style) -> Exactness:
    """Write a file and read it back. Raises what `file_of` does, NodeFailed if the disk is full or what was read is another adapter."""
    data = file_of(lora, style)
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
    except OSError as error:
        raise NodeFailed(
            f"The LoRA could not be written to {path.parent}: {error.strerror}.",
            hint="Make room on the disk, or check the folder's permissions.",
        ) from error
    exactness = compare(lora, load_lora(path), family_of(lora))
    if not exactness.error <= TOLERANCE[style.dtype]:
        raise NodeFailed(
            f"Read back, {exactness.module} of the LoRA differs by {exactness.error:.1%} from what was to be saved as {style.dtype}.",
            hint="Save it as float32." if style.dtype != "float32" else "The disk may be damaged.",
        )
    return exactness


def compare(wanted: Lora, got: Lora, adapters: Adapters) -> Exactness:
    """How far an adapter is from another, module by module. A module that one of them lacks is an error of 1."""
    first, second = (modules_of(lora, adapters)[0] for lora in (wanted, got))
    worst, count = (0.0, ""), 0
    for part in first.keys() | second.keys():
        mine, theirs = first.get(part, {}), second.get(part, {})
        for path in mine.keys() | theirs.keys():
            count += 1
            error = _relative(mine[path], theirs[path]) if path in mine and path in theirs else 1.0
            if not error <= worst[0]:
                worst = (error, f"{part}.{path}")
    return Exactness(count, *worst)


def _relative(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """The relative error of a module: of its change for a LoRA, else of its tensors."""
    errors = []
    pairs = {role: (tensor, second.get(role)) for role, tensor in first.items()}
    if is_low_rank(first):
        if not is_low_rank(second):
            return 1.0
        errors.append(difference(first, second))
        pairs = {role: pair for role, pair in pairs.items() if role not in ("up", "down", "alpha")}
    for tensor, other in pairs.values():
        if other is None or other.numel() != tensor.numel():
            return 1.0
        errors.append((float((tensor.double().flatten() - other.double().flatten()).norm()), float(tensor.double().norm())))
    return max((distance / norm if norm else float(distance > 0) for distance, norm in errors), default=0.0)
