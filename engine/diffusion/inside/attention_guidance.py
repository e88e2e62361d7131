"""Guidance away from what a network draws with damaged attention: perturbed-attention and self-attention guidance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad
from torch.utils.hooks import RemovableHandle

from engine.diffusion.guidance.latent_operations import gaussian
from engine.diffusion.inside.unet_blocks import Grid, Module, middle
from engine.diffusion.sampling.guidance import Step
from engine.diffusion.sampling.inside import Evaluation
from engine.errors import InvalidInput

BLUR_RADIUS = 4
ATTENTION = "importance in the middle block"
"""The name in a run's memory: (side, image) -> [h, w] how much the others look at each pixel of the middle block."""


def without_attention(network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
    """`inside`: in the middle block every pixel attends to itself only, so that self-attention gives the projected values."""

    def values(module: Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return module.to_out[0](module.to_v(args[0]))

    for transformer in middle(network):
        for block in transformer.transformer_blocks:
            yield block.attn1.register_forward_hook(values)


@dataclass(frozen=True)
class PerturbedAttention:
    """`after`: away from what the positive prompt gives without self-attention in the middle block.

    Ahn et al. 2024, "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance". Takes one more call of the network.
    """

    scale: float = 3.0

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        if self.scale == 0:
            return denoised
        perturbed = step.predict(step.positive, inside=(without_attention,))
        return denoised + (step.cond - perturbed) * self.scale


def importance(network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
    """`inside`: notes in the run's memory how much is looked at each pixel of the middle block's first self-attention."""
    for transformer in middle(network)[:1]:
        grid, block = Grid(), transformer.transformer_blocks[0]

        def note(module: Module, args: tuple[Any, ...], output: Tensor, grid: Grid = grid, attention: Module = block.attn1) -> None:
            found = looked_at(attention, output).view(-1, grid.height, grid.width)
            noted = evaluation.memory.setdefault(ATTENTION, {})
            for row, pixels in zip(evaluation.rows, found, strict=True):
                if row.side is not None and row.whole:
                    noted[row.side, row.image] = pixels

        yield transformer.register_forward_pre_hook(grid)
        yield block.norm1.register_forward_hook(note)


def looked_at(attention: Module, tokens: Tensor) -> Tensor:
    """[B, N, C] -> [B, N]: for each token the sum of all tokens' attention to it, as a mean over the heads."""
    query, key = (attention.head_to_batch_dim(project(tokens)) for project in (attention.to_q, attention.to_k))
    return attention.get_attention_scores(query, key).float().view(len(tokens), attention.heads, *[tokens.shape[1]] * 2).mean(1).sum(1)


@dataclass(frozen=True)
class SelfAttentionGuidance:
    """`after`: away from the prediction for a picture that is blurred where the network looks most; with `importance` as `inside`.

    Hong et al. 2023, "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance". What is blurred is the negative
    side's prediction, or the positive's where there is no other. blur_sigma: of the blur, in pixels of the latent. Latents of at most
    4 pixels are too small for it. Takes one more call of the network.
    """

    scale: float = 0.5
    blur_sigma: float = 2.0

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        if self.scale == 0 or min(step.x.shape[-2:]) <= BLUR_RADIUS:
            return denoised
        side, own, conditioning = (0, step.cond, step.positive) if step.uncond is None else (1, step.uncond, step.negative)
        noted = step.memory.get(ATTENTION, {})
        if (side, 0) not in noted:
            raise InvalidInput(
                f"Self-attention guidance needs a {'negative' if side else 'positive'} prompt for the whole picture.",
                hint="Add one without an area, or take the guidance off.",
            )
        looked = torch.stack([noted[side, image] for image in range(len(step.x))])
        degraded = blurred_where_looked_at(own, looked, self.blur_sigma)
        prediction = step.predict(conditioning, degraded + step.x - own)
        return denoised + (degraded - prediction) * self.scale


def blurred_where_looked_at(x: Tensor, looked: Tensor, sigma: float) -> Tensor:
    """x [B, C, H, W], blurred where `looked` [B, h, w], made as large without smoothing, is above the 1 of evenly spread attention."""
    mask = interpolate((looked > 1.0).to(x)[:, None], size=x.shape[-2:], mode="nearest")
    return blurred(x, sigma) * mask + x * (1 - mask)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of 9 x 9 pixels, mirrored at the border; sigma in pixels, 0 for none."""
    if sigma == 0:
        return x
    kernel = gaussian(BLUR_RADIUS, sigma / BLUR_RADIUS).to(x).expand(x.shape[1], 1, -1, -1)
    return conv2d(pad(x, (BLUR_RADIUS,) * 4, mode="reflect"), kernel, groups=x.shape[1])
