"""`easel inspect FILE`: what is in a weights file, or the workflow in a picture. Runs nothing, loads no weights."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import with_settings
from engine.errors import EaselError, InvalidInput, MissingFile, ModelFormatError
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.graph.limits import Limits

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 300
WORKFLOW_CHUNKS = ("easel", "workflow", "prompt")  # the most complete first


@with_settings("data", "max_body", "max_nodes", "max_depth", "max_text", "max_pixels")
def inspect_file(
    settings: Settings,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .safetensors or .latent file, a .png, or a workflow.", show_default=False)
    ],
    workflow: Annotated[bool, typer.Option("--workflow", help="Print only the workflow that the picture holds, as JSON.")] = False,
) -> None:
    """Tell what a file holds: family, types and counts of tensors and metadata of weights; the workflow in a picture."""
    from engine.cli.execution import limits_of

    try:
        with file.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise MissingFile(f"{file} cannot be read: {error.strerror}") from error
    limits = limits_of(settings)
    if start.startswith(PNG_SIGNATURE):
        texts, heading = _png(file, settings.max_pixels)
        lines = [_workflow_of(texts, file)] if workflow else [heading, *_picture(texts, limits)]
    elif start[8:] == b"{":
        lines = list(_weights(file))
    elif start.lstrip().startswith(b"{"):
        lines = (
            list(_document(file.read_bytes(), limits))
            if file.stat().st_size <= limits.body_bytes
            else [f"{file}: larger than the limit max_body"]
        )
    elif start.startswith((b"PK\x03\x04", b"\x80")):
        hint = "Convert it to safetensors with a tool that you trust, in a place where it can do no harm."
        raise ModelFormatError(f"{file} is a Python pickle, which can run code when it is opened. Easel does not open it.", hint=hint)
    else:
        raise InvalidInput(f"{file} is no safetensors file, no PNG and no workflow; it begins with {start!r}.")
    for line in lines:
        typer.echo(line)


def _weights(path: Path) -> Iterator[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118  (it is no mapping)
            found = {name: (str(part.get_dtype()), math.prod(part.get_shape())) for name, part in slices.items()}
            metadata = tensors.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFormatError(f"{path} is damaged or no safetensors file: {error}", hint="Download or copy it again.") from error
    numbers = Counter[str]()
    for dtype, count in found.values():
        numbers[dtype] += count
    yield f"{path}: safetensors, {path.stat().st_size / 1e6:.1f} MB"
    yield f"family: {_family(path)}"
    types = ", ".join(f"{count:,} {dtype}" for dtype, count in numbers.most_common())
    yield f"tensors: {len(found):,} with {sum(numbers.values()):,} numbers ({types})"
    groups = Counter(name.split(".", 1)[0] for name in found)
    yield "parts: " + ", ".join(f"{name} ({count})" for name, count in groups.most_common(8)) + (", ..." if len(groups) > 8 else "")
    for name, text in sorted(metadata.items()):
        yield f"metadata {name}: {text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + f'... ({len(text):,} characters)'}"


def _family(path: Path) -> str:
    from engine.diffusion.checkpoints import family_of

    try:
        return family_of(path)
    except ModelFormatError as error:
        return f"unknown ({error.message})"


def _png(path: Path, most_pixels: int) -> tuple[dict[str, str], str]:
    """The text chunks of a PNG, and a line about the picture."""
    from PIL import Image, PngImagePlugin

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > most_pixels:
                raise InvalidInput(f"{path} has {picture.width}x{picture.height} pixels, more than the limit max_pixels.")
            picture.load()
            texts = picture.text if isinstance(picture, PngImagePlugin.PngImageFile) else {}
            return dict(texts), f"{path}: PNG, {picture.width}x{picture.height} {picture.mode}"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"{path} is damaged: {error}") from error


def _workflow_of(texts: dict[str, str], path: Path) -> str:
    for name in WORKFLOW_CHUNKS:
        if name in texts:
            return texts[name]
    raise InvalidInput(f"{path} holds no workflow.", hint="Pictures saved with the setting `metadata` off hold none.")


def _picture(texts: dict[str, str], limits: Limits) -> Iterator[str]:
    if not texts:
        yield "no text, no workflow"
    for name, text in texts.items():
        if name in ("easel", "prompt"):
            yield f"{name}:"
            yield from (f"  {line}" for line in _document(text.encode(), limits))
        else:
            yield f"{name}: {len(text):,} characters"


def _document(data: bytes, limits: Limits) -> Iterator[str]:
    """What a workflow is made of."""
    from engine.graph.workflow_reader import parse_document

    try:
        workflow = parse_document(data, limits)
    except EaselError as error:
        yield f"not a workflow that Easel reads: {error.message}"
        return
    kinds = Counter(entry.class_type for entry in workflow.nodes.values())
    form = "API prompt" if workflow.source == "api" else workflow.source
    yield f"{form}, {len(workflow.nodes)} nodes, {len(workflow.subgraphs)} subgraphs"
    yield "nodes: " + ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(kinds.items()))
    for id, entry in workflow.nodes.items():
        values = {name: value for name, value in entry.inputs.items() if isinstance(value, str | int | float | bool)}
        if values:
            yield f"{id}: " + json.dumps(values, ensure_ascii=False)[:MOST_TEXT]
