"""Adapters into files: in a layout and a number format, with metadata, read back and compared before they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from engine.errors import InvalidInput, NodeFailed, named
from engine.values.lora import Lora

FormatName = Literal["float16", "bfloat16", "float32"]
FORMATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
LAYING_OUT = 1e-5
"""Largest relative error of a module's change by naming and scaling its tensors in float32."""
ROUNDING = 0.02
"""Largest one by a number format: several times what bfloat16 does to usual numbers. float16 does more to numbers below 1e-5, such as a
short training leaves."""


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


@dataclass(frozen=True)
class Written:
    """A file as it was written. dtype: of its matrices; where that is not what was asked for, `reason` says why."""

    exactness: Exactness
    dtype: FormatName
    reason: str = ""


def file_of(lora: Lora, style: Style, now: datetime | None = None) -> bytes:
    """The bytes of a safetensors file. Raises InvalidInput for an adapter that the layout cannot hold, ModelFormatError for one of no
    known family."""
    return _file_of(lora, style, now)[0]


def _file_of(lora: Lora, style: Style, now: datetime | None = None) -> tuple[bytes, Lora, Lora]:
    """The bytes of a file, and what should be in it: as it is laid out, and rounded to the number format."""
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
    exact = {**written.tensors, **{name: lora.tensors[name] for name in unknown}}
    tensors = {name: _rounded(tensor, FORMATS[style.dtype]) for name, tensor in exact.items()}
    metadata = {**written.metadata, **described(lora.metadata, parts, adapters, style.about, style.metadata, now or datetime.now())}
    data = save(tensors, metadata)
    if style.metadata != "none":
        data = save(tensors, with_hashes(tensors, metadata, data))
    return data, Lora(exact, lora.metadata), Lora(tensors, lora.metadata)


def _rounded(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor of a file: contiguous, on the CPU. An alpha that the format cannot hold exactly stays as it is."""
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor.contiguous()
    rounded = tensor.to(dtype).contiguous().clone()
    return tensor.float().clone() if tensor.ndim == 0 and rounded.float() != tensor.float() else rounded


def write_lora(path: Path, lora: Lora, style: Style) -> Written:
    """Write a file and read it back; in float32 where the wanted format cannot hold the adapter.

    Raises what `file_of` does, NodeFailed if the disk is full, the adapter holds NaN, or what was read is another one.
    """
    adapters = family_of(lora)
    data, exact, rounded = _file_of(lora, style)
    laid_out = compare(lora, exact, adapters)
    if laid_out.error > LAYING_OUT:
        raise NodeFailed(
            f"In this layout {laid_out.module} would differ by {laid_out.error:.1%} from the LoRA.", hint="Use another layout."
        )
    exactness = compare(lora, rounded, adapters)
    reason = _loss(rounded, exactness, style.dtype)
    if reason:
        style = replace(style, dtype="float32")
        data, _, rounded = _file_of(lora, style)
        exactness = compare(lora, rounded, adapters)
    if name := _infinite(rounded):
        raise NodeFailed(
            f"{name} has numbers that are not finite.", hint="The LoRA is broken: a training with too high a rate may do that."
        )
    _write(path, data)
    read = load_lora(path)
    for name, tensor in rounded.tensors.items():
        if name not in read.tensors or not torch.equal(read.tensors[name], tensor):
            raise NodeFailed(f"Read back, {name} is not what was to be saved.", hint="The disk may be damaged.")
    return Written(exactness, style.dtype, reason)


def _loss(rounded: Lora, exactness: Exactness, dtype: FormatName) -> str:
    """What a number format would do to an adapter, if that is too much."""
    if name := _infinite(rounded):
        return f"{dtype} cannot hold the numbers of {name}"
    return f"{dtype} would change what {exactness.module} does by {exactness.error:.0%}" if exactness.error > ROUNDING else ""


def _infinite(lora: Lora) -> str:
    """The name of a tensor with numbers that are not finite, or nothing."""
    return next((name for name, tensor in lora.tensors.items() if not tensor.isfinite().all()), "")


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
    except OSError as error:
        raise NodeFailed(
            f"The LoRA could not be written to {named(path.parent)}: {error.strerror}.",
            hint="Make room on the disk, or check the folder's permissions.",
        ) from error


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
