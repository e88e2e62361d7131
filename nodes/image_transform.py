"""Pictures scaled, cut, turned, padded, joined."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from engine.diffusion.pixels.layout import padded_to, stitched, with_border
from engine.diffusion.pixels.masks import outpainting
from engine.diffusion.pixels.resize import (
    KONTEXT_SIZES,
    completed_size,
    nearest_in_shape,
    resize_pictures,
    size_of_area,
    size_of_longest_side,
)
from engine.graph import Widget, node
from engine.values.image import Image
from nodes.image import Loaded

Method = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
Crop = Literal["disabled", "center"]
Side = Annotated[int, Field(ge=0, le=16_384), Widget(step=1)]
PositiveSide = Annotated[int, Field(ge=1, le=16_384), Widget(step=1)]
Border = Annotated[int, Field(ge=0, le=16_384), Widget(step=8)]


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(image: Image, upscale_method: Method, width: Side = 512, height: Side = 512, crop: Crop = "disabled") -> Image:
    """Scale a picture to a size in pixels.

    upscale_method: lanczos is the sharpest; area suits scaling down; nearest-exact keeps hard pixels.
    width, height: 0 follows from the other side by the picture's own aspect ratio.
    crop: center cuts both ends evenly to the new aspect ratio first; disabled stretches.
    """
    size = completed_size(width, height, image.shape[2], image.shape[1])
    return resize_pictures(image, *size, upscale_method, crop)


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def image_scale_by(
    image: Image, upscale_method: Method, scale_by: Annotated[float, Field(ge=0.01, le=8.0), Widget(step=0.01)] = 1.0
) -> Image:
    """Scale a picture by a factor."""
    width, height = round(image.shape[2] * scale_by), round(image.shape[1] * scale_by)
    return resize_pictures(image, width, height, upscale_method)


@node("ImageScaleToTotalPixels", category="image/upscaling", display_name="Scale Image to Total Pixels")
def image_scale_to_total_pixels(
    image: Image, upscale_method: Method, megapixels: Annotated[float, Field(ge=0.01, le=16.0), Widget(step=0.01)] = 1.0
) -> Image:
    """Scale a picture to about this many megapixels (1024 x 1024 each), keeping its aspect ratio."""
    size = size_of_area(image.shape[2], image.shape[1], megapixels * 1024 * 1024)
    return resize_pictures(image, *size, upscale_method)


@node("ImageScaleToMaxDimension", category="image/upscaling", display_name="Scale Image to Max Dimension")
def image_scale_to_max_dimension(
    image: Image, upscale_method: Literal["area", "lanczos", "bilinear", "nearest-exact", "bicubic"], largest_size: Side = 512
) -> Image:
    """Scale a picture so that its longer side has this many pixels, keeping its aspect ratio."""
    return resize_pictures(image, *size_of_longest_side(image.shape[2], image.shape[1], largest_size), upscale_method)


@node("FluxKontextImageScale", category="advanced/conditioning/flux", display_name="Flux Kontext Image Scale")
def flux_kontext_image_scale(image: Image) -> Image:
    """Scale a picture to the nearest in shape of the sizes that Flux Kontext was trained on, cutting off what does not fit."""
    return resize_pictures(image, *nearest_in_shape(image.shape[2], image.shape[1], KONTEXT_SIZES), "lanczos", "center")


@node("ImageCrop", category="image/transform", display_name="Image Crop")
def image_crop(image: Image, width: PositiveSide = 512, height: PositiveSide = 512, x: Side = 0, y: Side = 0) -> Image:
    """Cut a rectangle out of a picture; what lies outside the picture is left out."""
    x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return image[:, y : y + height, x : x + width]


@node("ImageRotate", category="image/transform", display_name="Image Rotate")
def image_rotate(image: Image, rotation: Literal["none", "90 degrees", "180 degrees", "270 degrees"]) -> Image:
    """Turn a picture clockwise."""
    return torch.rot90(image, QUARTERS[rotation], dims=(2, 1))


QUARTERS = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}


@node("ImageFlip", category="image/transform", display_name="Image Flip")
def image_flip(image: Image, flip_method: Literal["x-axis: vertically", "y-axis: horizontally"]) -> Image:
    """Mirror a picture upside down (x-axis) or left to right (y-axis)."""
    return image.flip(1 if flip_method.startswith("x") else 2)


@node("ResizeAndPadImage", category="image/transform", display_name="Resize and Pad Image")
def resize_and_pad_image(
    image: Image,
    target_width: PositiveSide = 512,
    target_height: PositiveSide = 512,
    padding_color: Literal["white", "black"] = "white",
    interpolation: Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"] = "area",
) -> Image:
    """Scale a picture to fit into a size and fill what is left of it with a colour."""
    return padded_to(image, target_width, target_height, padding_color, interpolation)


@node("ImagePadForOutpaint", category="image", display_name="Pad Image for Outpainting")
def image_pad_for_outpaint(
    image: Image, left: Border = 0, top: Border = 0, right: Border = 0, bottom: Border = 0, feathering: Side = 40
) -> Loaded:
    """Add a grey border to a picture, and a mask of it, for a model to draw on.

    feathering: over how many pixels inside the picture the mask fades out.
    """
    picture = with_border(image, left, top, right, bottom)
    return Loaded(picture, outpainting(image.shape[1], image.shape[2], left, top, right, bottom, feathering))


@node("ImageStitch", category="image/transform", display_name="Image Stitch")
def image_stitch(
    image1: Image,
    direction: Literal["right", "down", "left", "up"] = "right",
    match_image_size: bool = True,
    spacing_width: Annotated[int, Field(ge=0, le=1024), Widget(step=2)] = 0,
    spacing_color: Literal["white", "black", "red", "green", "blue"] = "white",
    image2: Image | None = None,
) -> Image:
    """Put two pictures beside each other.

    direction: where the second one goes.
    match_image_size: scale the second one to the first one's height or width; else the smaller one is padded with black.
    """
    if image2 is None:
        return image1
    return stitched(image1, image2, direction, match_image_size, spacing_width, spacing_color)
