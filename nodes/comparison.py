"""Pictures compared, and given each other's colours."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from engine.diffusion.pixels.comparison import aligned, peak_signal_to_noise, with_colours_of
from engine.graph import Widget, node
from engine.values.image import Image


class Comparison(NamedTuple):
    difference: Image
    mean: float
    largest: float
    psnr: float


@node("ColorMatch", category="image/postprocessing", display_name="Color Match")
def color_match(
    image: Image,
    reference: Image,
    method: Literal["covariance", "histogram"] = "covariance",
    strength: Annotated[float, Field(ge=0, le=1), Widget(step=0.01)] = 1.0,
) -> Image:
    """Give a picture the colours of another, for example after a redraw has shifted them.

    method: covariance turns and scales the colours as a whole; histogram fits each channel exactly.
    strength: 0 leaves the picture as it is.
    """
    return image + (with_colours_of(image, reference, method) - image) * strength


@node("CompareImages", category="image", display_name="Compare Images")
def compare_images(image1: Image, image2: Image, gain: Annotated[float, Field(ge=0, le=1000)] = 1.0) -> Comparison:
    """How far two pictures are apart. The second is scaled to the first one's size; alpha is left out.

    gain: makes small differences visible in the picture of them.

    Returns:
        difference: the absolute difference of each pixel, times the gain.
        mean, largest: of the differences, in 0..1.
        psnr: peak signal-to-noise ratio in decibels, larger is more alike; infinite for equal pictures.
    """
    first, second = aligned(image1, image2)
    difference = (first - second).abs()
    return Comparison(
        (difference * gain).clamp(0, 1), difference.mean().item(), difference.max().item(), peak_signal_to_noise(first, second)
    )
