"""Pictures made from nothing, counted, and batches of them put together and taken apart."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field

from engine.diffusion.pixels.pasting import with_channels
from engine.diffusion.pixels.resize import fit_pictures
from engine.graph import Series, Widget, node
from engine.values.image import Image

Side = Annotated[int, Field(ge=1, le=16_384), Widget(step=1)]
Count = Annotated[int, Field(ge=1, le=4096)]


class ImageSize(NamedTuple):
    width: int
    height: int
    batch_size: int


@node("EmptyImage", category="image", display_name="Empty Image")
def empty_image(
    width: Side = 512,
    height: Side = 512,
    batch_size: Count = 1,
    color: Annotated[int, Field(ge=0, le=0xFFFFFF), Widget(step=1, display="color")] = 0,
) -> Image:
    """Pictures of one colour, 0xRRGGBB as a number."""
    levels = torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255]) / 255
    return levels.repeat(batch_size, height, width, 1)


@node("GetImageSize", category="image", display_name="Get Image Size")
def get_image_size(image: Image) -> ImageSize:
    """Width, height and number of the pictures of a batch."""
    return ImageSize(image.shape[2], image.shape[1], image.shape[0])


@node("ImageInvert", category="image", display_name="Invert Image")
def image_invert(image: Image) -> Image:
    """The negative of a picture."""
    return 1.0 - image


@node("ImageBatch", category="image", display_name="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """Put two batches into one; the second is scaled to the first one's size."""
    channels = max(image1.shape[-1], image2.shape[-1])
    image1, image2 = with_channels(image1, channels), with_channels(image2, channels)
    return torch.cat([image1, fit_pictures(image2, image1)])


@node("ImageFromBatch", category="image/batch", display_name="Image from Batch")
def image_from_batch(image: Image, batch_index: Annotated[int, Field(ge=0, le=4095)] = 0, length: Count = 1) -> Image:
    """Take `length` pictures from a batch, counted from 0; beyond its end, the last one."""
    first = min(batch_index, len(image) - 1)
    return image[first : first + length]


@node("RepeatImageBatch", category="image/batch", display_name="Repeat Image Batch")
def repeat_image_batch(image: Image, amount: Count = 1) -> Image:
    """A batch several times over."""
    return image.repeat(amount, 1, 1, 1)


@node("RebatchImages", category="image/batch", display_name="Rebatch Images")
def rebatch_images(images: Series[Image], batch_size: Series[Count] = (1,)) -> Series[Image]:
    """Divide all pictures of a list into batches of this size. A batch holds pictures of one size, so it may be smaller."""
    groups: list[list[torch.Tensor]] = []
    for picture in (picture for batch in images for picture in batch):
        if groups and len(groups[-1]) < batch_size[0] and groups[-1][0].shape == picture.shape:
            groups[-1].append(picture)
        else:
            groups.append([picture])
    return tuple(torch.stack(group) for group in groups)
