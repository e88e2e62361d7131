"""Latent images scaled, turned, cut, put into and beside each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from engine.diffusion.latents import concatenated, cropped, cut
from engine.diffusion.pixels.pasting import feathered_paste, paste
from engine.diffusion.pixels.resize import completed_size, resize
from engine.errors import InvalidInput
from engine.graph import Widget, node
from engine.values.image import Mask
from engine.values.latent import Latent
from nodes.image_transform import QUARTERS, Crop

PIXELS = 8
"""Pixels of the picture per pixel of the latent; all inputs are in pixels of the picture."""
Method = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Side = Annotated[int, Field(ge=0, le=16_384), Widget(step=8)]
CropSide = Annotated[int, Field(ge=64, le=16_384), Widget(step=8)]


@node("LatentUpscale", category="latent", display_name="Upscale Latent")
def latent_upscale(samples: Latent, upscale_method: Method, width: Side = 512, height: Side = 512, crop: Crop = "disabled") -> Latent:
    """Scale a latent image to a size in pixels of the picture. Draw over it afterwards: scaled latents decode badly.

    upscale_method: bislerp keeps the contrast of latents best.
    width, height: 0 follows from the other side by the aspect ratio; at least 64.
    crop: center cuts both ends evenly to the new aspect ratio first; disabled stretches.
    """
    if not width and not height:
        return samples
    old_height, old_width = samples.samples.shape[-2:]
    new_width, new_height = completed_size(width, height, old_width * PIXELS, old_height * PIXELS, smallest=64)
    return replace(samples, samples=resize(samples.samples, new_width // PIXELS, new_height // PIXELS, upscale_method, crop))


@node("LatentUpscaleBy", category="latent", display_name="Upscale Latent By")
def latent_upscale_by(
    samples: Latent, upscale_method: Method, scale_by: Annotated[float, Field(ge=0.01, le=8.0), Widget(step=0.01)] = 1.5
) -> Latent:
    """Scale a latent image by a factor."""
    height, width = (round(side * scale_by) for side in samples.samples.shape[-2:])
    return replace(samples, samples=resize(samples.samples, width, height, upscale_method))


@node("LatentRotate", category="latent/transform", display_name="Rotate Latent")
def latent_rotate(samples: Latent, rotation: Literal["none", "90 degrees", "180 degrees", "270 degrees"]) -> Latent:
    """Turn a latent image clockwise."""
    return replace(samples, samples=torch.rot90(samples.samples, QUARTERS[rotation], dims=(3, 2)))


@node("LatentFlip", category="latent/transform", display_name="Flip Latent")
def latent_flip(samples: Latent, flip_method: Literal["x-axis: vertically", "y-axis: horizontally"]) -> Latent:
    """Mirror a latent image upside down (x-axis) or left to right (y-axis)."""
    return replace(samples, samples=samples.samples.flip(2 if flip_method.startswith("x") else 3))


@node("LatentCrop", category="latent/transform", display_name="Crop Latent")
def latent_crop(samples: Latent, width: CropSide = 512, height: CropSide = 512, x: Side = 0, y: Side = 0) -> Latent:
    """Cut a rectangle out of a latent image, in pixels of the picture. At least 64 pixels are left."""
    return cropped(samples, width // PIXELS, height // PIXELS, x // PIXELS, y // PIXELS)


@node("LatentComposite", category="latent", display_name="Latent Composite")
def latent_composite(samples_to: Latent, samples_from: Latent, x: Side = 0, y: Side = 0, feather: Side = 0) -> Latent:
    """Put a latent image into another at (x, y), in pixels of the picture.

    feather: over how many pixels its edges fade.
    """
    source = samples_from.samples
    if len(source) not in (1, len(samples_to.samples)):
        raise InvalidInput(f"{len(source)} latent images cannot go into {len(samples_to.samples)}.", hint="Use as many, or one.")
    return replace(samples_to, samples=feathered_paste(samples_to.samples, source, x // PIXELS, y // PIXELS, feather // PIXELS))


@node("LatentCompositeMasked", category="latent", display_name="Latent Composite Masked")
def latent_composite_masked(
    destination: Latent, source: Latent, x: Side = 0, y: Side = 0, resize_source: bool = False, mask: Mask | None = None
) -> Latent:
    """Put a latent image into another at (x, y), in pixels of the picture.

    resize_source: scale it to the other's size first.
    mask: where it covers; without one, everywhere.
    """
    samples = paste(destination.samples, source.samples, x, y, mask, unit=PIXELS, resize_source=resize_source)
    return replace(destination, samples=samples)


@node("LatentConcat", category="latent/advanced", display_name="Latent Concat")
def latent_concat(samples1: Latent, samples2: Latent, dim: Literal["x", "-x", "y", "-y", "t", "-t"]) -> Latent:
    """Put two latent images beside each other.

    dim: to the right (x), below (y), or along the dimension before these (t); with a minus, the second one comes first.
    """
    return concatenated(samples1, samples2, dim)


@node("LatentCut", category="latent/advanced", display_name="Latent Cut")
def latent_cut(
    samples: Latent,
    dim: Literal["x", "y", "t"],
    index: Annotated[int, Field(ge=-16_384, le=16_384), Widget(step=1)] = 0,
    amount: Annotated[int, Field(ge=1, le=16_384), Widget(step=1)] = 1,
) -> Latent:
    """Cut columns (x) or rows (y) out of a latent image, in pixels of the latent.

    index: the first of them; negative numbers count from the end.
    """
    return cut(samples, dim, index, amount)
