"""Stable Diffusion XL (Podell et al. 2023): its adapters, and how its network is called."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from engine.diffusion.families.adapters import Adapters, UnetNames, clip_part, unet_part
from engine.diffusion.families.family import Kind, Told, pooled_of
from engine.diffusion.families.unet_layout import Levels, levels_of_config
from engine.diffusion.sampling.latent_format import LatentFormat

USUAL = Levels(2, (False, True, True))


def call(network: Any, x: Tensor, told: Told) -> Tensor:
    """The network is told the sizes of the picture and of its cut beside a pooled text."""
    added = {"text_embeds": pooled_of(told, "Stable Diffusion XL"), "time_ids": told.sizes}
    return network(x, told.timestep, encoder_hidden_states=told.context, added_cond_kwargs=added, return_dict=False)[0]


SDXL = Kind(
    name="sdxl",
    title="Stable Diffusion XL",
    latent_format=LatentFormat(channels=4, scale=0.13025),
    prediction="sdxl_eps",
    call=call,
    adapters=Adapters(
        family="sdxl",
        title="Stable Diffusion XL",
        parts={
            "unet": unet_part(lambda config: UnetNames((levels_of_config(config) if config else USUAL).renaming(), original=True)),
            "text_encoder": clip_part("lora_te1_", "text_encoder.", "text_encoders.clip_l.transformer."),
            "text_encoder_2": clip_part("lora_te2_", "text_encoder_2.", "text_encoders.clip_g.transformer.", root="text_model."),
        },
        marks=re.compile(
            r"^(?:lora_te2_text_model|text_encoder_2\.text_model|lora_unet_(?:input|middle|output)_block)|transformer_blocks[._]9[._]"
        ),
        base_model_version="sdxl_base_v1-0",
        architecture="stable-diffusion-xl-v1-base",
        implementation="https://github.com/Stability-AI/generative-models",
        objective="eps",
        resolution=1024,
    ),
)
