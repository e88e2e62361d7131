"""`easel inspect FILE`: what is in a weights file, or the workflow in a picture. Runs nothing, loads no weights."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import with_settings
from engine.errors import EaselError, InvalidInput, MissingFile, ModelFormatError, QuotaExceeded
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.graph.limits import Limits

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 300
MOST_GROUPS = 8


@with_settings("data", "max_body", "max_nodes", "max_depth", "max_text", "max_pixels")
def inspect_file(
    settings: Settings,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .safetensors or .latent file, a .png, or a workflow.", show_default=False)
    ],
    workflow: Annotated[bool, typer.Option("--workflow", help="Print only the workflow that the picture holds, as JSON.")] = False,
) -> None:
    """Tell what a file holds: family, types and counts of tensors and metadata of weights; the workflow in a picture."""
    from engine.graph.limits import Limits

    try:
        with file.open("rb") as stream:
            start = stream.read(len(PNG_SIGNATURE))
    except OSError as error:
        raise MissingFile(f"{file} cannot be read: {error.strerror}") from error
    limits = Limits.of(settings)
    if start == PNG_SIGNATURE:
        from engine.infotext.pictures import read_texts

        picture = read_texts(file, settings.max_pixels)
        heading = f"{file}: PNG, {picture.size[0]}x{picture.size[1]} {picture.mode}"
        lines = [_workflow_of(picture.texts, file)] if workflow else [heading, *_picture(picture.texts, limits)]
    elif file.suffix.lower() == ".json":
        lines = list(_document(_read(file, limits.body_bytes), limits))
    else:
        lines = list(_weights(file))
    for line in lines:
        typer.echo(line)


def _weights(path: Path) -> Iterator[str]:
    from engine.diffusion.families import detect
    from engine.diffusion.weights_file import read_header

    header = read_header(path)
    family = detect({name: tensor.shape for name, tensor in header.tensors.items()})
    numbers = Counter[str]()
    for tensor in header.tensors.values():
        numbers[tensor.dtype] += math.prod(tensor.shape)
    types = ", ".join(f"{count:,} {dtype}" for dtype, count in numbers.most_common())
    groups = Counter(name.split(".", 1)[0] for name in header.tensors)
    shown = [f"{name} ({count})" for name, count in groups.most_common(MOST_GROUPS)] + ["..."] * (len(groups) > MOST_GROUPS)
    yield f"{path}: safetensors, {header.size / 1e6:.1f} MB"
    adapter = _adapter(path) if family is None else []
    yield from adapter or [f"family: {family.title if family else 'none that Easel knows'}"]
    yield f"tensors: {len(header.tensors):,} with {numbers.total():,} numbers ({types})"
    yield f"parts: {', '.join(shown)}"
    for name, text in sorted(header.metadata.items()):
        yield f"metadata {name}: {text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + f'... ({len(text):,} characters)'}"


def _adapter(path: Path) -> list[str]:
    """What a LoRA or another adapter is; nothing for a file that is none."""
    from engine.diffusion.adapters.inspecting import essentials
    from engine.diffusion.adapters.lora import load_lora

    try:
        return essentials(load_lora(path))
    except ModelFormatError:
        return []


def _workflow_of(texts: Mapping[str, str], path: Path) -> str:
    from engine.infotext.pictures import WORKFLOWS

    for name in WORKFLOWS:
        if name in texts:
            return texts[name]
    raise InvalidInput(f"{path} holds no workflow.", hint="Pictures saved with the setting `metadata` off hold none.")


def _picture(texts: Mapping[str, str], limits: Limits) -> Iterator[str]:
    if not texts:
        yield "no text, no workflow"
    for name, text in texts.items():
        if name in ("easel", "prompt"):
            try:
                yield from (f"{name}: {line}" for line in _document(text.encode(), limits))
            except EaselError as error:
                yield f"{name}: {error.message}"
        else:
            yield f"{name}: {len(text):,} characters"


def _read(path: Path, most_bytes: int) -> bytes:
    if path.stat().st_size > most_bytes:
        raise QuotaExceeded(f"{path} is larger than {most_bytes:,} bytes.", hint="Raise the setting max_body.")
    return path.read_bytes()


def _document(data: bytes, limits: Limits) -> Iterator[str]:
    """What a workflow is made of."""
    from engine.graph.workflow_reader import parse_document

    workflow = parse_document(data, limits)
    kinds = Counter(entry.class_type for entry in workflow.nodes.values())
    form = "API prompt" if workflow.source == "api" else workflow.source
    yield f"{form}, {len(workflow.nodes)} nodes, {len(workflow.subgraphs)} subgraphs"
    yield "nodes: " + ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(kinds.items()))
    for id, entry in workflow.nodes.items():
        values = {name: value for name, value in entry.inputs.items() if isinstance(value, str | int | float | bool)}
        if values:
            yield f"{id}: " + json.dumps(values, ensure_ascii=False)[:MOST_TEXT]
