"""A rough picture of a latent, made by a linear map of its channels: costs nothing and shows how a run goes."""

from __future__ import annotations

import torch
from PIL import Image as Picture
from torch import Tensor

from engine.diffusion.families import FAMILIES
from engine.values.model import Model


def latent_preview(model: Model, latent: Tensor) -> Picture.Image:
    """[B, C, h, w] latents in the network's space -> the first one as a picture of w x h pixels."""
    rows = torch.tensor(model.latent_rgb or FAMILIES[model.weights.family].latent_rgb)
    channels = latent.shape[1]
    colors = latent[0].float().cpu().movedim(0, -1) @ rows[:channels]
    if len(rows) > channels:
        colors = colors + rows[channels]
    pixels = ((colors + 1) * 127.5).nan_to_num().clamp(0, 255).to(torch.uint8)
    return Picture.fromarray(pixels.numpy())
