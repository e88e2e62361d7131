"""What some U-Nets read beside the noisy latent: the mask and masked picture of inpainting models, the picture of InstructPix2Pix.

Sources: the inpainting model of Rombach et al. 2022 (9 channels: latent, mask, masked picture), Brooks et al. 2023 (8: latent, picture).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.model import Start, no_inputs
from engine.values.conditioning import Condition

Inputs = Callable[[Condition, Start], Mapping[str, Tensor]]

GRAY = (0.8223, -0.6876, 0.6364, 0.1380)
"""Mid grey in the latent space of SD1's network: the masked picture of a run that has no mask."""


def inputs_of(in_channels: int, latent_format: LatentFormat) -> Inputs:
    """What a U-Net with so many input channels is given as "concat", [B, in_channels - C, h, w].

    A conditioning may bring `concat_latent_image` (a latent in the VAE's space) and `concat_mask` (1 = draw anew, any resolution).
    """
    extra = in_channels - latent_format.channels
    if extra == latent_format.channels + 1:
        return lambda condition, start: {"concat": _inpainting(condition, start, latent_format)}
    if extra == latent_format.channels:
        return lambda condition, start: {"concat": _picture(condition, start)}
    return no_inputs


def _inpainting(condition: Condition, start: Start, latent_format: LatentFormat) -> Tensor:
    """Mask, then the masked picture. Where the conditioning has none, the run's own mask and latent."""
    mask = condition.extras.get("concat_mask", start.mask)
    if mask is None:
        gray = torch.tensor(GRAY, device=start.latent.device).view(1, -1, 1, 1)
        return torch.cat([torch.ones_like(start.latent[:, :1]), gray.expand_as(start.latent)], dim=1)
    mask = mask.to(start.latent).reshape(-1, 1, *mask.shape[-2:])
    mask = _fitted(mask, start.latent).round()
    picture = condition.extras.get("concat_latent_image")
    own = start.latent if picture is None else _fitted(latent_format.process_in(picture.to(start.latent)), start.latent)
    return torch.cat([mask, own], dim=1)


def _picture(condition: Condition, start: Start) -> Tensor:
    """The picture to edit, as the VAE gives it: this kind of model was trained on latents that are not scaled."""
    picture = condition.extras.get("concat_latent_image")
    return torch.zeros_like(start.latent) if picture is None else _fitted(picture.to(start.latent), start.latent)


def _fitted(x: Tensor, latent: Tensor) -> Tensor:
    """[M, C, H, W] at the size and batch of the latent."""
    if x.shape[-2:] != latent.shape[-2:]:
        x = interpolate(x, size=latent.shape[-2:], mode="bilinear")
    repeats = -(-len(latent) // len(x))
    return x.repeat(repeats, 1, 1, 1)[: len(latent)]
