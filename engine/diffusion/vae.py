"""Between pictures and latent images, through an autoencoder (Kingma and Welling 2014, Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from engine.diffusion.memory import Memory
from engine.diffusion.tiles import in_tiles
from engine.errors import InvalidInput, NodeFailed
from engine.values.model import Vae

TILES = (64, 32)
"""Sides of a tile in pixels of the latent, tried when the whole does not fit."""


class Tile(NamedTuple):
    """Side of a tile and of what neighbours share, in pixels of the picture. At most a quarter of the side is shared."""

    side: int
    overlap: int

    def within(self, factor: int) -> tuple[int, int]:
        """The same in pixels of a latent, each of which stands for `factor` of the picture."""
        side = max(self.side // factor, 4)
        return side, min(self.overlap // factor, side // 4)


@torch.no_grad()
def decode(memory: Memory, vae: Vae, samples: Tensor, tile: Tile | None = None) -> Tensor:
    """[B, C, h, w] latent images, in the VAE's space -> [B, 8h, 8w, 3] pictures, float32 on the CPU, 0..1.

    tile: work in tiles of this size; None: only where the whole does not fit.
    """
    _check_latent(vae, samples)
    factor = factor_of(vae)
    with memory.autoencoder(vae) as network:

        def run(latent: Tensor) -> Tensor:
            decoded = network.decode(latent.to(memory.numerics.device, memory.numerics.vae), return_dict=False)[0]
            return decoded.float().cpu()

        sides = None if tile is None else tile.within(factor)
        pictures = [
            _whole_or_tiled(memory, run, latent[None], 1, Fraction(factor), sides, "Decoding the picture") for latent in samples.float()
        ]
    found = torch.cat(pictures)
    if not found.isfinite().all():
        raise NodeFailed(
            "The decoded picture holds numbers that are not finite (NaN or infinity); it would be black.",
            hint="The VAE may overflow in its number format: try --precision fp32, or another VAE.",
        )
    return ((found + 1) / 2).clamp(0, 1).movedim(1, -1).contiguous()


def encode(memory: Memory, vae: Vae, pictures: Tensor, tile: Tile | None = None) -> Tensor:
    """[B, H, W, 3 or 4] pictures, 0..1 -> [B, C, H // 8, W // 8] latent images in the VAE's space, float32 on the CPU.

    The posterior's mean, without drawing from it. Sides that are no multiples of 8 are cut evenly from both ends; alpha is ignored.
    tile: as for decoding.
    """
    return posterior(memory, vae, pictures, tile)[0]


@torch.no_grad()
def posterior(memory: Memory, vae: Vae, pictures: Tensor, tile: Tile | None = None) -> tuple[Tensor, Tensor]:
    """Mean and logarithm of the variance of the latent images of pictures; arguments and shapes as for `encode`."""
    factor = factor_of(vae)
    pixels = cropped(pictures, factor).float()[..., :3].movedim(-1, 1) * 2 - 1
    with memory.autoencoder(vae) as network:

        def run(part: Tensor) -> Tensor:
            normal = network.encode(part.to(memory.numerics.device, memory.numerics.vae), return_dict=False)[0]
            return torch.cat([normal.mean, normal.logvar], dim=1).float().cpu()

        sides = None if tile is None else tile.within(factor)
        latents = [
            _whole_or_tiled(memory, run, picture[None], factor, Fraction(1, factor), sides, "Encoding the picture") for picture in pixels
        ]
    mean, logvar = torch.cat(latents).chunk(2, dim=1)
    return mean.contiguous(), logvar.contiguous()


def _whole_or_tiled(
    memory: Memory, run: Callable[[Tensor], Tensor], x: Tensor, unit: int, scale: Fraction, sides: tuple[int, int] | None, what: str
) -> Tensor:
    """run(x), in tiles if it does not fit, or if `sides` (of a tile and of its overlap, in pixels of the latent) are given.

    unit: side in x of a pixel of the latent. scale: side of the result per side of x.
    """

    def tiled(side: int, overlap: int) -> Callable[[], Tensor]:
        return lambda: in_tiles(run, x, side * unit, overlap * unit, scale)

    attempts = [lambda: run(x), *(tiled(side, side // 4) for side in TILES)] if sides is None else [tiled(*sides)]
    return memory.first_that_fits(attempts, what)


def factor_of(vae: Vae) -> int:
    """Pixels of the picture per pixel of the latent."""
    return 2 ** (len(vae.weights.arguments["block_out_channels"]) - 1)


def _check_latent(vae: Vae, samples: Tensor) -> None:
    channels = vae.weights.arguments["latent_channels"]
    if samples.ndim != 4 or samples.shape[1] != channels or 0 in samples.shape:
        raise InvalidInput(
            f"This VAE decodes latents of {channels} channels; this one has shape {list(samples.shape)}.",
            hint="Use the VAE that belongs to the model that made the latent.",
        )
    if not samples.isfinite().all():
        raise InvalidInput(
            "The latent to decode holds numbers that are not finite (NaN or infinity).", hint="Look at the node that made it."
        )


def cropped(pictures: Tensor, factor: int) -> Tensor:
    """Pictures [B, H, W, C] whose sides are multiples of the factor, cut evenly from both ends."""
    if pictures.ndim != 4 or pictures.shape[-1] < 3 or not len(pictures):
        raise InvalidInput(f"A VAE encodes pictures [B, H, W, 3]; this is {list(pictures.shape)}.", hint="Convert the mask to a picture.")
    height, width = (side // factor * factor for side in pictures.shape[1:3])
    if not height or not width:
        raise InvalidInput(f"The picture is too small: {list(pictures.shape[1:3])} pixels.", hint=f"Use at least {factor} x {factor}.")
    top, left = (pictures.shape[1] % factor) // 2, (pictures.shape[2] % factor) // 2
    return pictures[:, top : top + height, left : left + width]
