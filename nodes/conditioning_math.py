"""Prompts combined, and where, when and how strongly they count."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from engine.diffusion.conditioning import averaged, concatenated, with_extras, zeroed
from engine.diffusion.pixels.resize import resize
from engine.graph import Alias, Widget, node
from engine.values.conditioning import Area, Conditioning
from engine.values.image import Image, Mask
from engine.values.latent import Latent

PIXELS = 8
"""Pixels of the picture per pixel of the latent."""
Extent = Annotated[int, Field(ge=64, le=16_384), Widget(step=8)]
Place = Annotated[int, Field(ge=0, le=16_384), Widget(step=8)]
Share = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Percent = Annotated[float, Field(ge=0, le=1), Widget(step=0.001)]
Strength = Annotated[float, Field(ge=0, le=10), Widget(step=0.01)]


class Prepared(NamedTuple):
    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node("ConditioningCombine", category="conditioning", display_name="Conditioning (Combine)")
def conditioning_combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Draw what both prompts say: the model looks at each on its own, and what it sees is averaged by strength."""
    return conditioning_1 + conditioning_2


@node("ConditioningAverage", category="conditioning", display_name="Conditioning (Average)")
def conditioning_average(
    conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: Share = 1.0
) -> Conditioning:
    """Mix two prompts into one.

    conditioning_to_strength: 1 is the one, 0 the other.
    """
    return averaged(conditioning_to, conditioning_from, conditioning_to_strength)


@node("ConditioningConcat", category="conditioning", display_name="Conditioning (Concat)")
def conditioning_concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Append the tokens of one prompt to another, as if they were one long prompt encoded in parts."""
    return concatenated(conditioning_to, conditioning_from)


@node("ConditioningSetArea", category="conditioning", display_name="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning, width: Extent = 64, height: Extent = 64, x: Place = 0, y: Place = 0, strength: Strength = 1.0
) -> Conditioning:
    """Let a prompt count in a rectangle only, in pixels of the picture.

    strength: weight against the other prompts there.
    """
    area = Area(height // PIXELS, width // PIXELS, y // PIXELS, x // PIXELS)
    return conditioning.with_each(area=area, strength=strength, mask_bounds=False)


@node("ConditioningSetAreaPercentage", category="conditioning", display_name="Conditioning (Set Area with Percentage)")
def conditioning_set_area_percentage(
    conditioning: Conditioning, width: Share = 1.0, height: Share = 1.0, x: Share = 0, y: Share = 0, strength: Strength = 1.0
) -> Conditioning:
    """Let a prompt count in a rectangle only, in fractions of the picture.

    strength: weight against the other prompts there.
    """
    return conditioning.with_each(area=Area(height, width, y, x, fraction=True), strength=strength, mask_bounds=False)


@node("ConditioningSetAreaStrength", category="conditioning", display_name="Conditioning (Set Area Strength)")
def conditioning_set_area_strength(conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """Weigh a prompt against the others it is combined with."""
    return conditioning.with_each(strength=strength)


@node("ConditioningSetMask", category="conditioning", display_name="Conditioning (Set Mask)")
def conditioning_set_mask(
    conditioning: Conditioning, mask: Mask, strength: Strength = 1.0, set_cond_area: Literal["default", "mask bounds"] = "default"
) -> Conditioning:
    """Let a prompt count where a mask selects.

    strength: weight against the other prompts there.
    set_cond_area: "mask bounds" computes the rectangle around the mask only, which is faster, but sees nothing else of the picture.
    """
    mask = mask if mask.ndim > 2 else mask[None]
    return conditioning.with_each(mask=mask, mask_strength=strength, mask_bounds=set_cond_area != "default")


@node("ConditioningSetTimestepRange", category="advanced/conditioning", display_name="Conditioning (Set Timestep Range)")
def conditioning_set_timestep_range(conditioning: Conditioning, start: Percent = 0.0, end: Percent = 1.0) -> Conditioning:
    """Let a prompt count in a part of the denoising only; 0 is the beginning, all noise, 1 the end."""
    return conditioning.with_each(start_percent=start, end_percent=end)


@node("ConditioningZeroOut", category="advanced/conditioning", display_name="Conditioning (Zero Out)")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """Replace a prompt's embeddings by zeros; not the same as an empty prompt."""
    return zeroed(conditioning)


@node("FluxGuidance", category="advanced/conditioning/flux", display_name="Flux Guidance")
def flux_guidance(conditioning: Conditioning, guidance: Annotated[float, Field(ge=0, le=100), Widget(step=0.1)] = 3.5) -> Conditioning:
    """How strongly a model that takes its guidance as an input, such as Flux dev, follows the prompt."""
    return with_extras(conditioning, guidance=guidance)


@node("FluxDisableGuidance", category="advanced/conditioning/flux", display_name="Flux Disable Guidance")
def flux_disable_guidance(conditioning: Conditioning) -> Conditioning:
    """Give the model no guidance as an input."""
    return with_extras(conditioning, guidance=None)


@node(
    "FluxKontextMultiReferenceLatentMethod",
    category="advanced/conditioning/flux",
    display_name="Flux Kontext Multi Reference Latent Method",
    experimental=True,
)
def flux_kontext_multi_reference_latent_method(
    conditioning: Conditioning, reference_latents_method: Literal["offset", "index", "uxo/uno"]
) -> Conditioning:
    """How several reference pictures are told apart."""
    return with_extras(conditioning, reference_latents_method="uxo" if "uxo" in reference_latents_method else reference_latents_method)


@node(
    "UpscaleX4Conditioning",
    category="conditioning/upscale_diffusion",
    display_name="SD 4X Upscale Conditioning",
    aliases=(Alias("SD_4XUpscale_Conditioning", outputs=("positive", "negative", "latent")),),
)
def sd_4x_upscale_conditioning(
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Annotated[float, Field(ge=0, le=10), Widget(step=0.01)] = 4.0,
    noise_augmentation: Percent = 0.0,
) -> Prepared:
    """Prepare a picture for the model SD x4 upscaler, which enlarges four times.

    scale_ratio: how much larger the result is; the picture is scaled by a quarter of it first.
    noise_augmentation: how much noise is put on the picture, as a share of the model's range.
    """
    width, height = (max(1, round(side * scale_ratio)) for side in (images.shape[2], images.shape[1]))
    pixels = images[..., :3].movedim(-1, 1) * 2 - 1
    small = resize(pixels, max(1, width // 4), max(1, height // 4), "bilinear", "center")
    extras = {"concat_image": small, "noise_augmentation": noise_augmentation}
    latent = Latent(torch.zeros(len(images), 4, max(1, height // 4), max(1, width // 4)))
    return Prepared(with_extras(positive, **extras), with_extras(negative, **extras), latent)
