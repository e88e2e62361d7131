"""The finished networks as one single-file checkpoint in half precision, named and described as Easel reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextModel

from engine.diffusion.checkpoint_files import CONFIG_KEY, LATENT_RGB_KEY
from engine.diffusion.families.family import Part
from engine.diffusion.families.sd15 import SD15, TEXT, UNET, VAE
from engine.whole_files import replacing
from tools.tiny_shapes import autoencoder, denoiser, text

SETTINGS = {
    UNET.name: {key: denoiser.CONFIG[key] for key in ("attention_head_dim", "norm_num_groups")},
    VAE.name: {"norm_num_groups": autoencoder.CONFIG["norm_num_groups"]},
    TEXT.name: {"num_attention_heads": text.CONFIG["num_attention_heads"], "hidden_act": text.CONFIG["hidden_act"]},
}


def preview_factors(latents: torch.Tensor, pictures: np.ndarray) -> list[list[float]]:
    """Least squares from latents (model space, [N, 4, 16, 16]) to pictures (uint8) made 8x smaller, as -1..1.

    Four rows of (red, green, blue), one per latent channel, and a last row to add.
    """
    small = np.stack([np.asarray(Image.fromarray(np.asarray(picture)).reduce(8)) for picture in pictures])
    inputs = latents.permute(0, 2, 3, 1).reshape(-1, 4).double()
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    wanted = torch.from_numpy(small).reshape(-1, 3).double() / 127.5 - 1
    return [[round(value, 5) for value in row] for row in torch.linalg.lstsq(inputs, wanted).solution.tolist()]


def write(path: Path, unet: UNet2DConditionModel, vae: AutoencoderKL, encoder: CLIPTextModel, factors: list[list[float]]) -> None:
    """Write the checkpoint; the file appears whole or not at all."""
    tensors = {**_stored(UNET, unet), **_stored(VAE, vae), **_stored(TEXT, encoder)}
    metadata = {CONFIG_KEY: json.dumps(SETTINGS, sort_keys=True), LATENT_RGB_KEY: json.dumps(factors), "format": "pt"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file(tensors, part, metadata=metadata)
        part.chmod(0o644)


def _stored(part: Part, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    renaming = part.renaming(module.config)
    out = {}
    for name, tensor in module.state_dict().items():
        if name.endswith("position_ids"):
            continue
        stored = renaming.to_stored(name)
        if stored is None:
            raise ValueError(f"{SD15.title} has no stored name for {part.name} {name}")
        out[part.prefixes[0] + stored] = tensor.half().reshape(part.stored_shape(stored, tensor.shape)).contiguous()
    return out
