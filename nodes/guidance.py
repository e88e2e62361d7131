"""What changes how a model follows its prompts: each node gives another model."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field

from engine.diffusion.guidance.cfg import (
    TCFG,
    AdaptiveProjectedGuidance,
    CFGNorm,
    CFGZeroStar,
    EpsilonScaling,
    FreSca,
    Mahiro,
    RescaleCFG,
)
from engine.diffusion.guidance.differential import DifferentialDiffusion
from engine.diffusion.guidance.guiders import PerpNeg
from engine.diffusion.model_options import with_guidance
from engine.graph import Alias, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.model import Model

Share = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Weight = Annotated[float, Field(ge=0, le=10), Widget(step=0.01)]
Factor = Annotated[float, Field(ge=0, le=100), Widget(step=0.01)]


class Patched(NamedTuple):
    patched_model: Model


@node("RescaleCFG", category="advanced/model", display_name="Rescale CFG")
def rescale_cfg(model: Model, multiplier: Share = 0.7) -> Model:
    """Keep the contrast of a picture where a high cfg would overdo it, above all with v-prediction models.

    multiplier: how much of the way back to the contrast of the positive prompt alone.
    """
    return with_guidance(model, combine=RescaleCFG(multiplier))


@node("CFGZeroStar", category="advanced/guidance", display_name="CFG-Zero*")
def cfg_zero_star(model: Model) -> Patched:
    """Scale the negative prompt's prediction to its best fit to the positive one's; for flow models."""
    return Patched(with_guidance(model, after=CFGZeroStar()))


@node("CFGNorm", category="advanced/guidance", display_name="CFG Norm", experimental=True)
def cfg_norm(model: Model, strength: Factor = 1.0) -> Patched:
    """Keep guidance from making the prediction longer, at any pixel, than the positive prompt's own."""
    return Patched(with_guidance(model, after=CFGNorm(strength)))


@node("TCFG", category="advanced/guidance", display_name="Tangential Damping CFG")
def tcfg(model: Model) -> Patched:
    """Leave out of the negative prompt what points away from the direction that both prompts share."""
    return Patched(with_guidance(model, before=TCFG()))


@node("APG", category="sampling/custom_sampling", display_name="Adaptive Projected Guidance")
def apg(
    model: Model,
    eta: Annotated[float, Field(ge=-10, le=10), Widget(step=0.01)] = 1.0,
    norm_threshold: Annotated[float, Field(ge=0, le=50), Widget(step=0.1)] = 5.0,
    momentum: Annotated[float, Field(ge=-5, le=1), Widget(step=0.01)] = 0.0,
) -> Model:
    """High guidance without oversaturation.

    eta: weight of the guidance along the positive prompt's prediction, which saturates.
    norm_threshold: longest guidance that is let through; 0 is no limit.
    momentum: how much of the earlier steps' guidance is added; negative values take it away.
    """
    return with_guidance(model, before=AdaptiveProjectedGuidance(eta, norm_threshold, momentum))


@node("FreSca", category="advanced/guidance", display_name="FreSca", experimental=True)
def fresca(
    model: Model,
    scale_low: Weight = 1.0,
    scale_high: Weight = 1.25,
    freq_cutoff: Annotated[int, Field(ge=1, le=10_000), Widget(step=1)] = 20,
) -> Model:
    """Scale the guidance of coarse and of fine structures apart.

    freq_cutoff: how many of the lowest frequencies count as coarse.
    """
    return with_guidance(model, before=FreSca(scale_low, scale_high, freq_cutoff))


@node("EpsilonScaling", category="model_patches/unet", display_name="Epsilon Scaling", aliases=(Alias("Epsilon Scaling"),))
def epsilon_scaling(
    model: Model, scaling_factor: Annotated[float, Field(ge=0.5, le=1.5), Widget(step=0.001, display="number")] = 1.005
) -> Model:
    """Divide the predicted noise by a factor, against errors that grow from step to step."""
    return with_guidance(model, after=EpsilonScaling(scaling_factor))


@node("Mahiro", category="advanced/guidance", display_name="Mahiro", experimental=True)
def mahiro(model: Model) -> Patched:
    """Let the positive prompt lead where guidance would turn away from the negative one only."""
    return Patched(with_guidance(model, after=Mahiro()))


@node("PerpNeg", category="advanced/guidance", display_name="Perp-Neg", deprecated=True, experimental=True)
def perp_neg(model: Model, empty_conditioning: Conditioning, neg_scale: Factor = 1.0) -> Model:
    """Avoid of the negative prompt only what has nothing to do with the positive one. Use Perp-Neg Guider instead.

    empty_conditioning: an empty prompt, encoded.
    """
    return with_guidance(model, combine=PerpNeg(empty_conditioning, neg_scale))


@node("DifferentialDiffusion", category="advanced/guidance", display_name="Differential Diffusion", experimental=True)
def differential_diffusion(model: Model, strength: Annotated[float, Field(ge=0, le=1), Widget(step=0.01, optional=True)] = 1.0) -> Model:
    """Let a soft noise mask say how much each pixel may change: light ones from the beginning, dark ones only at the end.

    strength: below 1 blends with the mask as it is.
    """
    return with_guidance(model, mask=DifferentialDiffusion(strength))
