"""Sampling runs put together from their parts: noise, guider, sampler, noise levels."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from engine.diffusion.guidance.guiders import DualCFG, PerpNegGuider
from engine.diffusion.latents import noised
from engine.diffusion.model_options import latent_format, prediction
from engine.diffusion.sampling.guidance import CFG, Guider
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.sample import Sampled, sample_custom
from engine.diffusion.sampling.samplers import Sampler
from engine.graph import Context, Seed, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.latent import Latent
from engine.values.model import Model
from engine.values.sigmas import Sigmas
from nodes.sampling import Scale, loaded, progress
from nodes.sampling_values import ModelGuider, RunNoise, RunSampler

NegativeScale = Annotated[float, Field(ge=0, le=100), Widget(step=0.01)]


class Drawn(NamedTuple):
    output: Latent
    denoised_output: Latent


@node("RandomNoise", category="sampling/custom_sampling/noise", display_name="Random Noise")
def random_noise(noise_seed: Seed = 0) -> RunNoise:
    """The noise of a seed."""
    return Noise(noise_seed)


@node("DisableNoise", category="sampling/custom_sampling/noise", display_name="Disable Noise")
def disable_noise() -> RunNoise:
    """No noise, to continue a latent image that is noisy already."""
    return Noise(enabled=False)


@node("AddNoise", category="sampling/custom_sampling/noise", display_name="Add Noise", experimental=True)
def add_noise(model: Model, noise: RunNoise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Put noise on a latent image without denoising it: as much as lies between the first and the last level."""
    return noised(latent_image, noise, sigmas, prediction(model), latent_format(model))


@node("BasicGuider", category="sampling/custom_sampling/guiders", display_name="Basic Guider")
def basic_guider(model: Model, conditioning: Conditioning) -> ModelGuider:
    """Follow a prompt without guidance, as distilled models and models with guidance as an input want."""
    return ModelGuider(model, CFG(conditioning))


@node("CFGGuider", category="sampling/custom_sampling/guiders", display_name="CFG Guider")
def cfg_guider(model: Model, positive: Conditioning, negative: Conditioning, cfg: Scale = 8.0) -> ModelGuider:
    """Follow a prompt and avoid another.

    cfg: how strongly.
    """
    return ModelGuider(model, CFG(positive, negative, cfg))


@node("DualCFGGuider", category="sampling/custom_sampling/guiders", display_name="Dual CFG Guider")
def dual_cfg_guider(
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Scale = 8.0,
    cfg_cond2_negative: Scale = 8.0,
    style: Literal["regular", "nested"] = "regular",
) -> ModelGuider:
    """Follow two prompts with scales of their own, as models that edit pictures want.

    cfg_conds: how strongly the first stands out from the second.
    cfg_cond2_negative: how strongly the second stands out from the negative one.
    """
    return ModelGuider(model, DualCFG(cond1, cond2, negative, cfg_conds, cfg_cond2_negative, style))


@node("PerpNegGuider", category="sampling/custom_sampling/guiders", display_name="Perp-Neg Guider", experimental=True)
def perp_neg_guider(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: Scale = 8.0,
    neg_scale: NegativeScale = 1.0,
) -> ModelGuider:
    """Avoid of the negative prompt only what has nothing to do with the positive one.

    empty_conditioning: an empty prompt, encoded.
    neg_scale: how strongly.
    """
    return ModelGuider(model, PerpNegGuider(positive, negative, empty_conditioning, cfg, neg_scale))


@node("SamplerCustom", category="sampling/custom_sampling", display_name="Sampler Custom", lane="device")
def sampler_custom(
    ctx: Context,
    model: Model,
    add_noise: bool = True,
    noise_seed: Seed = 0,
    cfg: Scale = 8.0,
    *,
    positive: Conditioning,
    negative: Conditioning,
    sampler: RunSampler,
    sigmas: Sigmas,
    latent_image: Latent,
) -> Drawn:
    """Draw a latent image with a sampler and noise levels of your own.

    Returns:
        output: the latent image; noisy if the levels do not end in 0.
        denoised_output: what the model took the finished picture for in the last step.
    """
    return _drawn(ctx, model, CFG(positive, negative, cfg), Noise(noise_seed, add_noise), sampler, sigmas, latent_image)


@node("SamplerCustomAdvanced", category="sampling/custom_sampling", display_name="Sampler Custom Advanced", lane="device")
def sampler_custom_advanced(
    ctx: Context, noise: RunNoise, guider: ModelGuider, sampler: RunSampler, sigmas: Sigmas, latent_image: Latent
) -> Drawn:
    """Draw a latent image with noise, guider, sampler and noise levels of your own.

    Returns:
        output: the latent image; noisy if the levels do not end in 0.
        denoised_output: what the model took the finished picture for in the last step.
    """
    return _drawn(ctx, guider.model, guider.guider, noise, sampler, sigmas, latent_image)


def _drawn(ctx: Context, model: Model, guider: Guider, noise: Noise, sampler: Sampler, sigmas: Sigmas, latent: Latent) -> Drawn:
    with loaded(ctx, model) as network:
        sampled: Sampled = sample_custom(network, guider, sampler, sigmas, latent, noise=noise, callback=progress(ctx, model))
    return Drawn(sampled.output, sampled.denoised)
