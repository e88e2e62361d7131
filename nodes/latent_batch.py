"""Batches of latent images: put together, taken apart, with their places in the noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from engine.diffusion.latents import indices, joined, part_of_batch, rebatched, repeated
from engine.graph import Series, node
from engine.values.image import Mask
from engine.values.latent import Latent

Count = Annotated[int, Field(ge=1, le=64)]


@node("LatentBatch", category="latent/batch", display_name="Latent Batch")
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Put two batches into one; the second is scaled to the first one's size."""
    return joined(samples1, samples2)


@node("LatentFromBatch", category="latent/batch", display_name="Latent From Batch")
def latent_from_batch(samples: Latent, batch_index: Annotated[int, Field(ge=0, le=63)] = 0, length: Count = 1) -> Latent:
    """Take images from a batch, counted from 0. They get the same noise as in the whole batch, so one picture can be drawn again alone."""
    return part_of_batch(samples, batch_index, length)


@node("RepeatLatentBatch", category="latent/batch", display_name="Repeat Latent Batch")
def repeat_latent_batch(samples: Latent, amount: Count = 1) -> Latent:
    """A batch several times over, each time with other noise."""
    return repeated(samples, amount)


@node("LatentBatchSeedBehavior", category="latent/advanced", display_name="Latent Batch Seed Behavior")
def latent_batch_seed_behavior(samples: Latent, seed_behavior: Literal["random", "fixed"] = "fixed") -> Latent:
    """Whether the images of a batch get different noise (random), or all the noise of the first (fixed)."""
    if seed_behavior == "random":
        return replace(samples, batch_index=None)
    return replace(samples, batch_index=(indices(samples)[0],) * len(samples.samples))


@node("RebatchLatents", category="latent/batch", display_name="Rebatch Latents")
def rebatch_latents(latents: Series[Latent], batch_size: Series[Annotated[int, Field(ge=1, le=4096)]] = (1,)) -> Series[Latent]:
    """Divide all latent images of a list into batches of this size. A batch holds images of one size, so it may be smaller."""
    return rebatched(latents, batch_size[0])


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Draw only where the mask selects, with any model. Soft values blend."""
    return replace(samples, noise_mask=mask.reshape(-1, 1, *mask.shape[-2:]))
