"""Flux.1 (Black Forest Labs 2024): its adapters, and how its network is called."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.families.adapters import Adapters, clip_part, t5_part, transformer_part
from engine.diffusion.families.family import Kind, Told, pooled_of
from engine.diffusion.families.joint_blocks import ATTENTION, END, OTHERS, embedder, joint_blocks
from engine.diffusion.sampling.latent_format import LatentFormat

_SINGLE = "single_transformer_blocks.#."
TABLE = {
    **joint_blocks(
        "double_blocks.#.",
        ("img_attn.qkv", "img_attn.proj", "img_mlp.0", "img_mlp.2", "img_mod.lin"),
        ("txt_attn.qkv", "txt_attn.proj", "txt_mlp.0", "txt_mlp.2", "txt_mod.lin"),
    ),
    "single_blocks.#.linear1": [*(f"{_SINGLE}attn.to_{name}" for name in "qkv"), f"{_SINGLE}proj_mlp"],
    "single_blocks.#.linear2": [f"{_SINGLE}proj_out"],
    "single_blocks.#.modulation.lin": [f"{_SINGLE}norm.linear"],
    "img_in": ["x_embedder"],
    "txt_in": ["context_embedder"],
    **embedder("timestep_embedder", "time_in.in_layer", "time_in.out_layer"),
    **embedder("text_embedder", "vector_in.in_layer", "vector_in.out_layer"),
    **embedder("guidance_embedder", "guidance_in.in_layer", "guidance_in.out_layer"),
    **END,
}
_ATTENTION = rf"{ATTENTION}|single_transformer_blocks\.\d+\.attn\.to_[qkv]"
_OTHERS = rf"{OTHERS}|single_transformer_blocks\.\d+\.(?:proj_mlp|proj_out|norm\.linear)"
PATCH = 2
TRAINED_GUIDANCE = 1.0
"""The guidance that a distilled network is told in training: that of pictures drawn without any."""


def call(network: Any, x: Tensor, told: Told) -> Tensor:
    """The network reads patches of 2x2 latents as tokens, each with its row and column, and is told sigma itself."""
    batch, channels, height, width = x.shape
    rows, columns = height // PATCH, width // PATCH
    tokens = x.view(batch, channels, rows, PATCH, columns, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)
    places = torch.zeros(rows, columns, 3, device=x.device)
    places[..., 1], places[..., 2] = torch.arange(rows)[:, None], torch.arange(columns)[None]
    guidance = torch.full((batch,), TRAINED_GUIDANCE, device=x.device) if network.config.guidance_embeds else None
    output = network(
        tokens,
        timestep=told.timestep,
        encoder_hidden_states=told.context,
        pooled_projections=pooled_of(told, "Flux"),
        img_ids=places.view(-1, 3),
        txt_ids=torch.zeros(told.context.shape[1], 3, device=x.device),
        guidance=guidance,
        return_dict=False,
    )[0]
    return output.view(batch, rows, columns, channels, PATCH, PATCH).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


FLUX = Kind(
    name="flux",
    title="Flux.1",
    latent_format=LatentFormat(channels=16, scale=0.3611, shift=0.1159),
    prediction="flow_flux",
    patch=PATCH,
    call=call,
    adapters=Adapters(
        family="flux",
        title="Flux.1",
        parts={
            "transformer": transformer_part(TABLE, f"{_ATTENTION}|{_OTHERS}", _ATTENTION),
            "text_encoder": clip_part("lora_te1_", "text_encoder.", "text_encoders.clip_l.transformer."),
            "text_encoder_2": t5_part("lora_te3_", "text_encoder_2.", "text_encoders.t5xxl.transformer."),
        },
        marks=re.compile(r"(?:double|single|single_transformer)_blocks[._]"),
        base_model_version="flux1",
        architecture="flux-1-dev",
        implementation="https://github.com/black-forest-labs/flux",
        objective="flow",
        resolution=1024,
    ),
)
