"""Pictures drawn larger than a model can draw them at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from engine.diffusion.pixels.resize import resize, resize_pictures
from engine.diffusion.redrawing import redrawn
from engine.diffusion.sampling.sample import sample
from engine.diffusion.vae import decode, encode
from engine.graph import Context, Seed, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.image import Image
from engine.values.latent import Latent
from engine.values.model import Model, Vae
from nodes.sampling import SamplerName, Scale, SchedulerName, Steps, loaded, progress

Factor = Annotated[float, Field(ge=0.5, le=8), Widget(step=0.05)]
Denoise = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
MULTIPLE = 8


@node("HighResFix", category="sampling/upscaling", display_name="High-Res Fix", lane="device")
def high_res_fix(
    ctx: Context,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    samples: Latent,
    scale_by: Factor = 2.0,
    upscale_method: Literal["bislerp", "bicubic", "bilinear", "nearest-exact", "area"] = "bislerp",
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 7.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "normal",
    denoise: Denoise = 0.6,
) -> Latent:
    """Draw a finished latent image over at a larger size: the model composes small and adds detail large.

    scale_by: of both sides.
    denoise: how much is drawn anew; below about 0.5 scaled latents stay blurred.
    """
    height, width = (max(1, round(side * scale_by)) for side in samples.samples.shape[-2:])
    larger = replace(samples, samples=resize(samples.samples.float(), width, height, upscale_method))
    with loaded(ctx, model) as network:
        return sample(
            network,
            positive,
            negative,
            larger,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            denoise=denoise,
            callback=progress(ctx, model),
        )


@node("TiledUpscale", category="sampling/upscaling", display_name="Tiled Upscale", lane="device")
def tiled_upscale(
    ctx: Context,
    image: Image,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    scale_by: Factor = 2.0,
    tile_size: Annotated[int, Field(ge=64, le=4096), Widget(step=8)] = 512,
    overlap: Annotated[int, Field(ge=0, le=1024), Widget(step=8)] = 64,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 7.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "normal",
    denoise: Denoise = 0.3,
) -> Image:
    """Scale a picture up and draw it over piece by piece, so that memory does not limit its size.

    tile_size: side of a piece; the size of picture the model knows best.
    overlap: what neighbours share at least; seams are blended away over it.
    denoise: how much is drawn anew; too much, and every piece becomes a picture of its own.
    """
    width, height = (max(MULTIPLE, round(side * scale_by / MULTIPLE) * MULTIPLE) for side in (image.shape[2], image.shape[1]))
    larger = resize_pictures(image[..., :3], width, height, "lanczos")
    side = max(MULTIPLE * 8, tile_size // MULTIPLE * MULTIPLE)

    def redraw(part: Image, number: int, total: int) -> Image:
        ctx.progress(number, total)
        latent = Latent(encode(ctx.memory, vae, part))
        with loaded(ctx, model) as network:
            drawn = sample(
                network,
                positive,
                negative,
                latent,
                seed=seed,
                steps=steps,
                cfg=cfg,
                sampler_name=sampler_name,
                scheduler=scheduler,
                denoise=denoise,
                callback=lambda step, steps_in_all, x, denoised: ctx.check_cancelled(),
            )
        return decode(ctx.memory, vae, drawn.samples)

    result = redrawn(larger, side, overlap, redraw)
    ctx.progress(1, 1)
    return result
