"""Pictures laid over each other, and alpha."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from engine.diffusion.pixels.blending import porter_duff
from engine.diffusion.pixels.pasting import paste_pictures
from engine.diffusion.pixels.resize import fit_pictures
from engine.diffusion.sampling.conditions import repeat_to
from engine.graph import Widget, node
from engine.values.image import Image, Mask
from nodes.image import Loaded

Side = Annotated[int, Field(ge=0, le=16_384), Widget(step=1)]
Mode = Literal[
    "ADD", "CLEAR", "DARKEN", "DST", "DST_ATOP", "DST_IN", "DST_OUT", "DST_OVER", "LIGHTEN", "MULTIPLY", "OVERLAY", "SCREEN", "SRC",
    "SRC_ATOP", "SRC_IN", "SRC_OUT", "SRC_OVER", "XOR",
]  # fmt: skip


@node("ImageCompositeMasked", category="image", display_name="Image Composite Masked")
def image_composite_masked(
    destination: Image, source: Image, x: Side = 0, y: Side = 0, resize_source: bool = False, mask: Mask | None = None
) -> Image:
    """Lay a picture over another at (x, y).

    resize_source: scale it to the other's size first.
    mask: where it covers; without one, everywhere.
    """
    return paste_pictures(destination, source, x, y, mask, resize_source=resize_source)


@node("PorterDuffImageComposite", category="mask/compositing", display_name="Porter-Duff Image Composite")
def porter_duff_image_composite(
    source: Image, source_alpha: Mask, destination: Image, destination_alpha: Mask, mode: Mode = "DST"
) -> Loaded:
    """Combine two pictures that each have a mask of what is transparent.

    mode: the operator; SRC_OVER is the usual one, DST leaves the destination as it is.
    """
    pictures = [destination, fit_pictures(source, destination, "bicubic")]
    alphas = [fit_pictures(1.0 - mask[..., None], destination, "bicubic") for mask in (destination_alpha, source_alpha)]
    count = min(len(part) for part in (*pictures, *alphas))
    below, above, alpha_below, alpha_above = (part[:count, ..., :3] for part in (*pictures, *alphas))
    picture, alpha = porter_duff(above, alpha_above, below, alpha_below, mode)
    return Loaded(picture, 1.0 - alpha[..., 0])


@node("SplitImageWithAlpha", category="mask/compositing", display_name="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> Loaded:
    """A picture without its alpha channel, and a mask of what is transparent."""
    alpha = image[..., 3] if image.shape[-1] > 3 else torch.ones_like(image[..., 0])
    return Loaded(image[..., :3], 1.0 - alpha)


@node("JoinImageWithAlpha", category="mask/compositing", display_name="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """Give a picture an alpha channel: transparent where the mask selects."""
    opaque = fit_pictures(1.0 - alpha[..., None], image)
    count = max(len(image), len(opaque))
    return torch.cat([repeat_to(image[..., :3], count), repeat_to(opaque, count)], dim=-1)
