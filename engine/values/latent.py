"""A latent image: what a VAE encodes to and a sampler works on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Latent:
    """A batch of latent images, in the space of the VAE (before a family's scaling).

    samples: [B, C, h, w] float32 on the CPU; h and w are usually an eighth of the picture's.
    noise_mask: [M, 1, H, W] at any resolution, or None; 1 = draw again, 0 = keep, soft values between. M is 1 or B, else repeated.
    batch_index: for each image the position of its noise in the stream of its seed, or None for 0..B-1.
        With it, one image of a batch can be drawn again alone.
    """

    samples: Tensor
    noise_mask: Tensor | None = None
    batch_index: tuple[int, ...] | None = None
