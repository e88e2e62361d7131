"""Latent images: making empty ones, keeping them in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.diffusion.latents import blank
from engine.errors import ModelFormatError
from engine.graph import Alias, Choice, Context, Shown, Widget, node
from engine.values.latent import Latent

Size = Annotated[int, Field(ge=16, le=16_384), Widget(step=8)]
WideSize = Annotated[int, Field(ge=16, le=16_384), Widget(step=16)]

OLD_FILE_SCALE = 1 / 0.18215  # files without a version marker hold latents in SD1.5's own scale


@node("EmptyLatent", category="latent", display_name="Empty Latent Image", aliases=(Alias("EmptyLatentImage"),))
def empty_latent(width: Size = 512, height: Size = 512, batch_size: Annotated[int, Field(ge=1, le=4096)] = 1) -> Latent:
    """A blank latent image, to draw on from noise alone.

    width, height: of the picture, in pixels; rounded down to a multiple of 8.
    batch_size: how many pictures to draw at once.
    """
    return blank(batch_size, 4, height // 8, width // 8)


@node("EmptyLatent16", category="latent/sd3", display_name="Empty Latent Image (16 Channels)", aliases=(Alias("EmptySD3LatentImage"),))
def empty_latent_16(width: WideSize = 1024, height: WideSize = 1024, batch_size: Annotated[int, Field(ge=1, le=4096)] = 1) -> Latent:
    """A blank latent image for models whose latents have 16 channels, such as SD3 and Flux.

    width, height: of the picture, in pixels; rounded down to a multiple of 8.
    batch_size: how many pictures to draw at once.
    """
    return blank(batch_size, 16, height // 8, width // 8)


@node("SaveLatent", category="latent", display_name="Save Latent", output_node=True, lane="io")
def save_latent(ctx: Context, samples: Latent, filename_prefix: Annotated[str, Widget(multiline=False)] = "latents/ComfyUI") -> Shown:
    """Write a latent image to a file, to go on from it later with Load Latent.

    filename_prefix: the name's beginning; a slash makes a folder, `%year%` and the like are filled in.
    """
    tensors = {"latent_tensor": samples.samples.contiguous(), "latent_format_version_0": torch.empty(0)}
    metadata = {key: json.dumps(value) for key, value in ctx.job.texts().items()}

    def write(path: Path) -> None:
        save_file(tensors, path, metadata=metadata)

    return Shown({"latents": [ctx.folders.save("output", filename_prefix, ".latent", write)]})


@node("LoadLatent", category="latent", display_name="Load Latent", lane="io")
def load_latent(ctx: Context, latent: Annotated[str, Choice("input:latent")]) -> Latent:
    """Read a latent image that Save Latent wrote."""
    path = ctx.folders.resolve("input", latent)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFormatError(f"{latent} is not a latent file: {error}", hint="Choose a file that Save Latent wrote.") from error
    samples = tensors.get("latent_tensor")
    if samples is None or samples.ndim < 4:
        raise ModelFormatError(f"{latent} holds no latent image (found: {', '.join(sorted(tensors)[:5]) or 'nothing'})")
    scale = 1.0 if "latent_format_version_0" in tensors else OLD_FILE_SCALE
    return Latent(samples.float() * scale)
