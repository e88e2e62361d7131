"""Samplers: from noise to a latent image."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from engine.diffusion.preview import latent_preview
from engine.diffusion.sampling.model import DiffusionModel
from engine.diffusion.sampling.sample import ProgressCallback, sample
from engine.diffusion.sampling.samplers import SAMPLER_NAMES
from engine.diffusion.sampling.schedules import SCHEDULER_NAMES
from engine.diffusion.unet import diffusion_model
from engine.graph import Context, OneOf, Seed, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.latent import Latent
from engine.values.model import Model

SamplerName = Annotated[str, OneOf(SAMPLER_NAMES)]
SchedulerName = Annotated[str, OneOf(SCHEDULER_NAMES)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
Scale = Annotated[float, Field(ge=0, le=100), Widget(step=0.1, round=0.01)]
Position = Annotated[int, Field(ge=0, le=10_000)]


@node("KSampler", category="sampling", display_name="KSampler", lane="device")
def ksampler(
    ctx: Context,
    model: Model,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "simple",
    *,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Annotated[float, Field(ge=0, le=1), Widget(step=0.01)] = 1.0,
) -> Latent:
    """Draw a latent image: denoise it along a schedule of falling noise levels.

    seed: chooses the noise; the same seed and inputs give the same picture.
    steps: noise levels to go through; more are slower and finer.
    cfg: how strongly the picture follows the prompt; 1 leaves the negative prompt out and takes half the time.
    sampler_name: the algorithm that takes the steps.
    scheduler: how the noise levels are spaced.
    positive, negative: what the picture should and should not be.
    latent_image: what to start from; an empty one for a new picture.
    denoise: 1 draws anew; lower values keep more of what the latent image shows.
    """
    with loaded(ctx, model) as network:
        return sample(
            network,
            positive,
            negative,
            latent_image,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            denoise=denoise,
            callback=progress(ctx, model),
        )


@node("KSamplerAdvanced", category="sampling", display_name="KSampler (Advanced)", lane="device")
def ksampler_advanced(
    ctx: Context,
    model: Model,
    add_noise: Literal["enable", "disable"] = "enable",
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "simple",
    *,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Position = 0,
    end_at_step: Position = 10_000,
    return_with_leftover_noise: Literal["disable", "enable"] = "disable",
) -> Latent:
    """Run a part of a schedule, for example the first half with one model or prompt and the second with another.

    add_noise: disable it to continue a latent image that is noisy already.
    noise_seed: chooses the noise.
    start_at_step, end_at_step: the part of the `steps` that is run.
    return_with_leftover_noise: enable it to hand on a latent image that a next sampler continues.
    """
    with loaded(ctx, model) as network:
        return sample(
            network,
            positive,
            negative,
            latent_image,
            seed=noise_seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            start_at_step=start_at_step,
            end_at_step=end_at_step,
            add_noise=add_noise == "enable",
            leftover_noise=return_with_leftover_noise == "enable",
            callback=progress(ctx, model),
        )


def loaded(ctx: Context, model: Model) -> AbstractContextManager[DiffusionModel]:
    """The model's network on the device; what takes unusually long is told as `progress_text`."""

    def notice(text: str) -> None:
        ctx.log.info(text)
        ctx.emit("progress_text", {"text": text, "node": ctx.node_id})

    return diffusion_model(ctx.memory, model, notice)


def progress(ctx: Context, model: Model) -> ProgressCallback:
    def report(step: int, total: int, x: Tensor, denoised: Tensor) -> None:
        ctx.progress(step, total, preview=partial(latent_preview, model, denoised))

    return report
