"""Stable Diffusion 1.x (Rombach et al. 2022), also narrower models of the same layout."""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from engine.diffusion.families.adapters import Adapters, UnetNames, clip_part, unet_part
from engine.diffusion.families.family import Config, Family, Part, TextEncoder, call_unet
from engine.diffusion.families.renaming import Renaming
from engine.diffusion.families.text_layout import clip_text_config
from engine.diffusion.families.unet_layout import Levels, Shapes, levels_of_config, unet_config
from engine.diffusion.families.vae_layout import is_attention_projection, vae_config, vae_renaming
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.text.tokenizer import EOS


def _is_sd15(shapes: Shapes) -> bool:
    """A U-Net that reads text (unlike an unconditional one), with convolutions around its transformers (SD2 and SDXL have matrices)
    and no vector input (SDXL has one)."""
    found = UNET.find(shapes)
    if found is None:
        return False
    unet = found[1]
    projections = [shape for name, shape in unet.items() if name.endswith(".1.proj_in.weight")]
    return bool(projections) and len(projections[0]) == 4 and "label_emb.0.0.weight" not in unet


def _build_text_encoder(config: Config) -> nn.Module:
    model = CLIPTextModel(CLIPTextConfig(**config))
    # not a weight, so no file brings it
    model.embeddings.position_ids = torch.arange(config["max_position_embeddings"], device="cpu")[None]
    return model


def _text_defaults(config: Config) -> dict[str, Any]:
    return {"num_attention_heads": max(1, config["hidden_size"] // 64), "hidden_act": "quick_gelu"}


def _vae_stored_shape(stored: str, shape: torch.Size) -> torch.Size:
    return torch.Size((*shape, 1, 1)) if is_attention_projection(stored) and len(shape) == 2 else shape


USUAL = Levels(2, (True, True, True, False))
UNET = Part(
    name="unet",
    prefixes=("model.diffusion_model.",),
    marker="input_blocks.0.0.weight",
    read_config=unet_config,
    renaming=lambda config: levels_of_config(config).renaming(),
    build=lambda config: UNet2DConditionModel(**config),
    # diffusers calls the number of heads attention_head_dim here
    defaults=lambda config: {"attention_head_dim": 8, "norm_num_groups": 32},
    settable={"attention_head_dim": int, "norm_num_groups": int},
)
VAE = Part(
    name="vae",
    prefixes=("first_stage_model.", "vae.", ""),
    marker="decoder.conv_in.weight",
    read_config=vae_config,
    renaming=vae_renaming,
    build=lambda config: AutoencoderKL(**config),
    defaults=lambda config: {"norm_num_groups": 32},
    settable={"norm_num_groups": int},
    stored_shape=_vae_stored_shape,
)
TEXT = Part(
    name="text_encoder",
    prefixes=("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."),
    marker="embeddings.token_embedding.weight",
    read_config=clip_text_config,
    renaming=lambda config: Renaming.of((name, name) for name in ("embeddings", "encoder", "final_layer_norm")),
    build=_build_text_encoder,
    defaults=_text_defaults,
    settable={"num_attention_heads": int, "hidden_act": str},
)
ADAPTERS = Adapters(
    family="sd15",
    title="Stable Diffusion 1.5",
    parts={
        "unet": unet_part(lambda config: UnetNames((levels_of_config(config) if config else USUAL).renaming(), original=False)),
        "text_encoder": clip_part("lora_te_", "text_encoder.", "lora_te1_", "text_encoders.clip_l.transformer."),
    },
    marks=re.compile(r"^lora_te_text_model"),
    base_model_version="sd_v1",
    architecture="stable-diffusion-v1",
    implementation="diffusers",
    objective="eps",
    resolution=512,
)
SD15 = Family(
    name="sd15",
    title="Stable Diffusion 1.5",
    matches=_is_sd15,
    unet=UNET,
    vae=VAE,
    text=TextEncoder(TEXT, name="clip_l", pad=EOS),
    latent_format=LatentFormat(channels=4, scale=0.18215),
    prediction="eps",
    call=call_unet,
    # fitted to SD1.4 by Kevin Turner, published in the Hugging Face forum in 2022
    latent_rgb=((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)),
    adapters=ADAPTERS,
)
