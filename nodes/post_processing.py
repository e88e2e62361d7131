"""Pictures blended, blurred, sharpened, reduced, searched for edges."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from engine.diffusion.pixels.blending import blend
from engine.diffusion.pixels.canny import canny
from engine.diffusion.pixels.colours import from_yuv, to_yuv
from engine.diffusion.pixels.filters import blur, morphology, sharpen
from engine.diffusion.pixels.pasting import with_channels
from engine.diffusion.pixels.quantize import quantized
from engine.diffusion.pixels.resize import fit_pictures
from engine.diffusion.sampling.conditions import repeat_to
from engine.graph import Seed, Widget, node
from engine.values.image import Image

Radius = Annotated[int, Field(ge=1, le=31), Widget(step=1)]
Threshold = Annotated[float, Field(ge=0.01, le=0.99), Widget(step=0.01)]
BlendMode = Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"]
Dither = Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"]
Operation = Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"]


class YUV(NamedTuple):
    Y: Image
    U: Image
    V: Image


@node("ImageBlend", category="image/postprocessing", display_name="Image Blend")
def image_blend(
    image1: Image,
    image2: Image,
    blend_factor: Annotated[float, Field(ge=0, le=1), Widget(step=0.01)] = 0.5,
    blend_mode: BlendMode = "normal",
) -> Image:
    """Mix two pictures; the second is scaled to the first one's size.

    blend_factor: 0 is the first picture, 1 the blend of both.
    """
    image2 = repeat_to(fit_pictures(with_channels(image2, image1.shape[-1]), image1, "bicubic"), len(image1))
    return blend(image1, image2, blend_factor, blend_mode)


@node("ImageBlur", category="image/postprocessing", display_name="Image Blur")
def image_blur(image: Image, blur_radius: Radius = 1, sigma: Annotated[float, Field(ge=0.1, le=10.0), Widget(step=0.1)] = 1.0) -> Image:
    """Blur a picture.

    sigma: width of the Gaussian, in units of the radius.
    """
    return blur(image, blur_radius, sigma)


@node("ImageSharpen", category="image/postprocessing", display_name="Image Sharpen")
def image_sharpen(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Field(ge=0.1, le=10.0), Widget(step=0.01)] = 1.0,
    alpha: Annotated[float, Field(ge=0, le=5), Widget(step=0.01)] = 1.0,
) -> Image:
    """Sharpen a picture.

    sigma: width of the Gaussian, in units of the radius.
    alpha: how strongly.
    """
    return sharpen(image, sharpen_radius, sigma, alpha)


@node("ImageQuantize", category="image/postprocessing", display_name="Image Quantize")
def image_quantize(image: Image, colors: Annotated[int, Field(ge=1, le=256), Widget(step=1)] = 256, dither: Dither = "none") -> Image:
    """Reduce a picture to a few colours.

    dither: floyd-steinberg spreads the error to the neighbours; bayer-N adds a pattern of N x N pixels.
    """
    return quantized(image, colors, dither)


@node("Morphology", category="image/postprocessing", display_name="Image Morphology")
def image_morphology(image: Image, operation: Operation, kernel_size: Annotated[int, Field(ge=3, le=999), Widget(step=1)] = 3) -> Image:
    """Shrink or grow what is bright, within squares of `kernel_size` pixels.

    operation: open removes bright specks, close dark ones; the hats show what these remove; gradient shows edges.
    """
    return morphology(image, operation, kernel_size)


@node("Canny", category="image/preprocessors", display_name="Canny")
def canny_edges(image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8) -> Image:
    """White lines where a picture has edges.

    high_threshold: what is an edge for certain.
    low_threshold: what is one where it touches such an edge.
    """
    return canny(image, low_threshold, high_threshold)[..., None].expand(-1, -1, -1, 3)


@node("ImageRGBToYUV", category="image/batch", display_name="Image RGB to YUV")
def image_rgb_to_yuv(image: Image) -> YUV:
    """Take a picture apart into brightness and two colour differences, each as a grey picture."""
    return YUV(*(channel[..., None].expand(-1, -1, -1, 3) for channel in to_yuv(image)))


@node("ImageYUVToRGB", category="image/batch", display_name="Image YUV to RGB")
def image_yuv_to_rgb(Y: Image, U: Image, V: Image) -> Image:
    """Make a picture of its brightness and two colour differences."""
    return from_yuv(Y.mean(dim=-1), U.mean(dim=-1), V.mean(dim=-1))


@node("ImageAddNoise", category="image", display_name="Image Add Noise")
def image_add_noise(image: Image, seed: Seed = 0, strength: Annotated[float, Field(ge=0, le=1), Widget(step=0.01)] = 0.5) -> Image:
    """Add Gaussian noise to a picture.

    strength: its standard deviation.
    """
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + strength * noise).clamp(0, 1)
