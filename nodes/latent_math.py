"""Latent images added, mixed, and put through operations that also serve as guidance."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from engine.diffusion.guidance.latent_operations import LatentOperation, OperationOnGuidance, Sharpen, ToneMap
from engine.diffusion.latents import interpolated, matched
from engine.diffusion.model_options import with_guidance
from engine.graph import Port, Widget, node
from engine.values.latent import Latent
from engine.values.model import Model

Operation = Annotated[LatentOperation, Port("LATENT_OPERATION", color="#d98cb3")]
Share = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]


@node("LatentAdd", category="latent/advanced", display_name="Latent Add")
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """The sum of two latent images; the second is scaled to the first one's size."""
    return replace(samples1, samples=samples1.samples + matched(samples2, samples1))


@node("LatentSubtract", category="latent/advanced", display_name="Latent Subtract")
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """The first latent image less the second, which is scaled to the first one's size."""
    return replace(samples1, samples=samples1.samples - matched(samples2, samples1))


@node("LatentMultiply", category="latent/advanced", display_name="Latent Multiply")
def latent_multiply(samples: Latent, multiplier: Annotated[float, Field(ge=-10, le=10), Widget(step=0.01)] = 1.0) -> Latent:
    """A latent image times a number."""
    return replace(samples, samples=samples.samples * multiplier)


@node("LatentBlend", category="latent", display_name="Latent Blend")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Share = 0.5) -> Latent:
    """Mix two latent images; 1 is the first, 0 the second, which is scaled to the first one's size."""
    samples = samples1.samples * blend_factor + matched(samples2, samples1, "bicubic") * (1 - blend_factor)
    return replace(samples1, samples=samples)


@node("LatentInterpolate", category="latent/advanced", display_name="Latent Interpolate")
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Share = 1.0) -> Latent:
    """Mix two latent images without losing contrast: directions and lengths of the pixels' vectors are mixed apart.

    ratio: 1 is the first, 0 the second.
    """
    return replace(samples1, samples=interpolated(samples1.samples, matched(samples2, samples1), ratio))


@node(
    "LatentOperationTonemapReinhard",
    category="latent/advanced/operations",
    display_name="Latent Operation Tonemap Reinhard",
    experimental=True,
)
def latent_operation_tonemap_reinhard(multiplier: Annotated[float, Field(ge=0, le=100), Widget(step=0.01)] = 1.0) -> Operation:
    """Compress what stands out of a latent image.

    multiplier: of the level that counts as white.
    """
    return ToneMap(multiplier)


@node("LatentOperationSharpen", category="latent/advanced/operations", display_name="Latent Operation Sharpen", experimental=True)
def latent_operation_sharpen(
    sharpen_radius: Annotated[int, Field(ge=1, le=31), Widget(step=1)] = 9,
    sigma: Annotated[float, Field(ge=0.1, le=10), Widget(step=0.1)] = 1.0,
    alpha: Annotated[float, Field(ge=0, le=5), Widget(step=0.01)] = 0.1,
) -> Operation:
    """Sharpen a latent image.

    sigma: width of the Gaussian, in units of the radius.
    alpha: how strongly.
    """
    return Sharpen(sharpen_radius, sigma, alpha)


@node("LatentApplyOperation", category="latent/advanced/operations", display_name="Latent Apply Operation", experimental=True)
def latent_apply_operation(samples: Latent, operation: Operation) -> Latent:
    """Put a latent image through an operation."""
    return replace(samples, samples=operation(samples.samples))


@node("LatentApplyOperationCFG", category="latent/advanced/operations", display_name="Latent Apply Operation CFG", experimental=True)
def latent_apply_operation_cfg(model: Model, operation: Operation) -> Model:
    """Put the guidance of every sampling step through an operation."""
    return with_guidance(model, before=OperationOnGuidance(operation))
