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
    RenormCFG,
    RescaleCFG,
)
from engine.diffusion.guidance.differential import DifferentialDiffusion
from engine.diffusion.guidance.guiders import PerpNeg
from engine.diffusion.inside.attention_guidance import PerturbedAttention, SelfAttentionGuidance, importance
from engine.diffusion.inside.skip_layers import SkipLayerGuidance, SkippedLayers, has_layers, numbers
from engine.diffusion.model_options import with_guidance
from engine.graph import Alias, Context, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.model import Model

Share = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Weight = Annotated[float, Field(ge=0, le=10), Widget(step=0.01)]
Factor = Annotated[float, Field(ge=0, le=100), Widget(step=0.01)]


Percent = Annotated[float, Field(ge=0, le=1), Widget(step=0.001)]


class Patched(NamedTuple):
    patched_model: Model


@node("RescaleCFG", category="advanced/model", display_name="Rescale CFG")
def rescale_cfg(model: Model, multiplier: Share = 0.7) -> Model:
    """Keep the contrast of a picture where a high cfg would overdo it, above all with v-prediction models.

    multiplier: how much of the way back to the contrast of the positive prompt alone.
    """
    return with_guidance(model, combine=RescaleCFG(multiplier))


@node("RenormCFG", category="advanced/model", display_name="Renormalized CFG")
def renorm_cfg(model: Model, cfg_trunc: Factor = 100, renorm_cfg: Factor = 1.0) -> Model:
    """Guidance that cannot make the prediction stronger than the positive prompt alone does; for Lumina 2.

    cfg_trunc: guidance is in force at noise levels below this; 100 is always for usual models.
    renorm_cfg: how strong the prediction may become, 1 as strong as the positive prompt's; 0 for no limit.
    """
    return with_guidance(model, combine=RenormCFG(cfg_trunc, renorm_cfg))


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


@node("PerturbedAttentionGuidance", category="model_patches/unet", display_name="Perturbed-Attention Guidance")
def perturbed_attention_guidance(model: Model, scale: Annotated[float, Field(ge=0, le=100), Widget(step=0.01, round=0.01)] = 3.0) -> Model:
    """Better structure, also without a prompt: away from what the network draws where it does not look at the picture as a whole.

    Takes half as long again. 0 is none.
    """
    return with_guidance(model, after=PerturbedAttention(scale))


@node("SelfAttentionGuidance", category="_for_testing", display_name="Self-Attention Guidance", experimental=True)
def self_attention_guidance(
    model: Model,
    scale: Annotated[float, Field(ge=-2, le=5), Widget(step=0.01)] = 0.5,
    blur_sigma: Annotated[float, Field(ge=0, le=10), Widget(step=0.1)] = 2.0,
) -> Model:
    """Finer details: away from what the network draws when the places it looks at most are blurred.

    Takes half as long again. 0 is none.

    blur_sigma: of the blur, in pixels of the latent image.
    """
    if scale == 0:
        return model
    return with_guidance(model, inside=importance, after=SelfAttentionGuidance(scale, blur_sigma), keep_uncond=True)


@node(
    "SkipLayerGuidance",
    category="advanced/guidance",
    display_name="Skip-Layer Guidance",
    experimental=True,
    aliases=(Alias("SkipLayerGuidanceDiT"),),
)
def skip_layer_guidance(
    ctx: Context,
    model: Model,
    double_layers: str = "7, 8, 9",
    single_layers: str = "7, 8, 9",
    scale: Annotated[float, Field(ge=0, le=10), Widget(step=0.1)] = 3.0,
    start_percent: Percent = 0.01,
    end_percent: Percent = 0.15,
    rescaling_scale: Weight = 0.0,
) -> Model:
    """Better structure with transformer models (SD3, Flux): away from what they draw without some of their layers.

    double_layers, single_layers: numbers of layers that keep text and picture apart, and of those that join them.
    start_percent, end_percent: the part of the run.
    rescaling_scale: how far the contrast is brought back to that of the positive prompt.
    """
    return _without_layers(ctx, model, double_layers, single_layers, scale, start_percent, end_percent, rescaling_scale)


@node("SkipLayerGuidanceSD3", category="advanced/guidance", display_name="Skip-Layer Guidance (SD3)", experimental=True)
def skip_layer_guidance_sd3(
    ctx: Context,
    model: Model,
    layers: str = "7, 8, 9",
    scale: Annotated[float, Field(ge=0, le=10), Widget(step=0.1)] = 3.0,
    start_percent: Percent = 0.01,
    end_percent: Percent = 0.15,
) -> Model:
    """Better structure with Stable Diffusion 3.5: away from what it draws without some of its layers.

    layers: their numbers.
    start_percent, end_percent: the part of the run.
    """
    return _without_layers(ctx, model, layers, "", scale, start_percent, end_percent, 0.0)


@node(
    "SkipLayerNegative",
    category="advanced/guidance",
    display_name="Skip-Layer Negative",
    experimental=True,
    aliases=(Alias("SkipLayerGuidanceDiTSimple"),),
)
def skip_layer_negative(
    ctx: Context,
    model: Model,
    double_layers: str = "7, 8, 9",
    single_layers: str = "7, 8, 9",
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Model:
    """Skip-layer guidance at no cost: the negative prompt is computed without some layers of a transformer model.

    double_layers, single_layers: numbers of layers that keep text and picture apart, and of those that join them.
    start_percent, end_percent: the part of the run.
    """
    if not _has_layers(ctx, model):
        return model
    skipped = SkippedLayers(numbers(double_layers), numbers(single_layers), start_percent, end_percent, sides=(1,))
    return with_guidance(model, inside=skipped)


def _without_layers(
    ctx: Context, model: Model, double: str, single: str, scale: float, start: float, end: float, rescaling: float
) -> Model:
    chosen = numbers(double), numbers(single)
    if not any(chosen) or not _has_layers(ctx, model):
        return model
    return with_guidance(model, after=SkipLayerGuidance(*chosen, scale, start, end, rescaling))


def _has_layers(ctx: Context, model: Model) -> bool:
    """Whether layers of the model can be skipped; says so where not, since ComfyUI's node does nothing there without a word."""
    if has_layers(model):
        return True
    ctx.warn(
        "Skip-layer guidance does nothing on this model: its network is a U-Net.",
        "It is for transformers such as SD3 and Flux; use perturbed-attention guidance here.",
    )
    return False
