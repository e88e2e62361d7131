"""A latent image: what a VAE encodes to and a sampler works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.graph import port


class LatentCodec:
    def encode(self, value: Latent) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {"samples": value.samples}
        if value.noise_mask is not None:
            tensors["noise_mask"] = value.noise_mask
        return tensors, {"batch_index": value.batch_index}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Latent:
        index = metadata["batch_index"]
        return Latent(tensors["samples"], tensors.get("noise_mask"), None if index is None else tuple(index))


@port("LATENT", color="#ff9cf9", codec=LatentCodec())
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
