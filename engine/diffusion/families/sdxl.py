"""Stable Diffusion XL (Podell et al. 2023): its adapters."""

from __future__ import annotations

import re

from engine.diffusion.families.adapters import Adapters, UnetNames, clip_part, unet_part
from engine.diffusion.families.unet_layout import Levels, levels_of_config

USUAL = Levels(2, (False, True, True))

SDXL_ADAPTERS = Adapters(
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
)
