"""Masks: making, changing and combining them."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from engine.diffusion.pixels.masks import composed, feathered, grown, of_colour
from engine.errors import InvalidInput
from engine.graph import Choice, Context, Shown, Widget, node
from engine.values.image import Image, Mask
from engine.values.pictures import read_picture
from nodes.image import write_images

Side = Annotated[int, Field(ge=0, le=16_384), Widget(step=1)]
PositiveSide = Annotated[int, Field(ge=1, le=16_384), Widget(step=1)]
Value = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Colour = Annotated[int, Field(ge=0, le=0xFFFFFF), Widget(step=1, display="color")]


@node("LoadImageMask", category="mask", display_name="Load Image (as Mask)", lane="io")
def load_image_mask(
    ctx: Context, image: Annotated[str, Choice("input:image"), Widget(image_upload=True)], channel: Literal["alpha", "red", "green", "blue"]
) -> Mask:
    """Read one channel of a picture as a mask. Alpha is inverted, so that what is transparent is selected."""
    picture, transparent = read_picture(ctx.folders.resolve("input", image))
    return transparent if channel == "alpha" else image_to_mask(picture, channel)


@node("MaskPreview", category="mask", display_name="Preview Mask", output_node=True, lane="io")
def mask_preview(ctx: Context, mask: Mask) -> Shown:
    """Show masks without keeping them."""
    return write_images(ctx, mask_to_image(mask), "temp", "preview", compress_level=4)


@node("SolidMask", category="mask", display_name="Solid Mask")
def solid_mask(value: Value = 1.0, width: PositiveSide = 512, height: PositiveSide = 512) -> Mask:
    """A mask of one value."""
    return torch.full((1, height, width), value)


@node("InvertMask", category="mask", display_name="Invert Mask")
def invert_mask(mask: Mask) -> Mask:
    """Swap what is selected and what is not."""
    return 1.0 - mask


@node("CropMask", category="mask", display_name="Crop Mask")
def crop_mask(mask: Mask, x: Side = 0, y: Side = 0, width: PositiveSide = 512, height: PositiveSide = 512) -> Mask:
    """Cut a rectangle out of a mask; what lies outside it is left out."""
    if x >= mask.shape[2] or y >= mask.shape[1]:
        raise InvalidInput(f"({x}, {y}) lies outside the mask of {mask.shape[2]} x {mask.shape[1]} pixels.", hint="Use a smaller x and y.")
    return mask[:, y : y + height, x : x + width]


@node("MaskComposite", category="mask", display_name="Mask Composite")
def mask_composite(
    destination: Mask,
    source: Mask,
    x: Side = 0,
    y: Side = 0,
    operation: Literal["multiply", "add", "subtract", "and", "or", "xor"] = "multiply",
) -> Mask:
    """Combine a mask with another that lies at (x, y). The logical operations take values from 0.5 on as selected."""
    return composed(destination, source, x, y, operation)


@node("FeatherMask", category="mask", display_name="Feather Mask")
def feather_mask(mask: Mask, left: Side = 0, top: Side = 0, right: Side = 0, bottom: Side = 0) -> Mask:
    """Let a mask fade towards its sides, over this many pixels."""
    return feathered(mask, left, top, right, bottom)


@node("GrowMask", category="mask", display_name="Grow Mask")
def grow_mask(mask: Mask, expand: Annotated[int, Field(ge=-16_384, le=16_384), Widget(step=1)] = 0, tapered_corners: bool = True) -> Mask:
    """Let the selection grow by pixels, or shrink if negative.

    tapered_corners: grow as a diamond; else as a square.
    """
    return grown(mask, expand, tapered_corners)


@node("ThresholdMask", category="mask", display_name="Threshold Mask")
def threshold_mask(mask: Mask, value: Value = 0.5) -> Mask:
    """Select what is above a value, wholly, and nothing else."""
    return (mask > value).float()


@node("MaskToImage", category="mask", display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """A mask as a grey picture, white where it selects."""
    return mask.reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3)


@node("ImageToMask", category="mask", display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """One channel of a picture as a mask."""
    number = ("red", "green", "blue", "alpha").index(channel)
    if number >= image.shape[-1]:
        raise InvalidInput(f"The picture has {image.shape[-1]} channels, so there is no {channel}.", hint="Choose red, green or blue.")
    return image[..., number]


@node("ImageColorToMask", category="mask", display_name="Image Color to Mask")
def image_color_to_mask(image: Image, color: Colour = 0) -> Mask:
    """Select the pixels of exactly one colour, 0xRRGGBB as a number."""
    return of_colour(image, color)
