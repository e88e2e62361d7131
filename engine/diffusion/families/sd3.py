"""Stable Diffusion 3 and 3.5 (Esser et al. 2024): their adapters, and how their network is called."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from engine.diffusion.families.adapters import Adapters, clip_part, t5_part, transformer_part
from engine.diffusion.families.family import Kind, Told, pooled_of
from engine.diffusion.families.joint_blocks import ATTENTION, END, OTHERS, embedder, joint_blocks
from engine.diffusion.sampling.latent_format import LatentFormat

TABLE = {
    **joint_blocks(
        "joint_blocks.#.",
        ("x_block.attn.qkv", "x_block.attn.proj", "x_block.mlp.fc1", "x_block.mlp.fc2", "x_block.adaLN_modulation.1"),
        (
            "context_block.attn.qkv", "context_block.attn.proj", "context_block.mlp.fc1", "context_block.mlp.fc2",
            "context_block.adaLN_modulation.1",
        ),
    ),
    "joint_blocks.#.x_block.attn2.qkv": [f"transformer_blocks.#.attn2.to_{name}" for name in "qkv"],
    "joint_blocks.#.x_block.attn2.proj": ["transformer_blocks.#.attn2.to_out.0"],
    "x_embedder.proj": ["pos_embed.proj"],
    "context_embedder": ["context_embedder"],
    **embedder("timestep_embedder", "t_embedder.mlp.0", "t_embedder.mlp.2"),
    **embedder("text_embedder", "y_embedder.mlp.0", "y_embedder.mlp.2"),
    **END,
}  # fmt: skip


def call(network: Any, x: Tensor, told: Told) -> Tensor:
    """The network is told sigma times 1000."""
    pooled = pooled_of(told, "Stable Diffusion 3")
    return network(x, encoder_hidden_states=told.context, pooled_projections=pooled, timestep=told.timestep, return_dict=False)[0]


SD3 = Kind(
    name="sd3",
    title="Stable Diffusion 3",
    latent_format=LatentFormat(channels=16, scale=1.5305, shift=0.0609),
    prediction="flow_sd3",
    call=call,
    adapters=Adapters(
        family="sd3",
        title="Stable Diffusion 3",
        parts={
            "transformer": transformer_part(TABLE, f"{ATTENTION}|{OTHERS}", ATTENTION),
            "text_encoder": clip_part("lora_te1_", "text_encoder.", "text_encoders.clip_l.transformer."),
            "text_encoder_2": clip_part("lora_te2_", "text_encoder_2.", "text_encoders.clip_g.transformer.", root="text_model."),
            "text_encoder_3": t5_part("lora_te3_", "text_encoder_3.", "text_encoders.t5xxl.transformer."),
        },
        marks=re.compile(r"joint_blocks[._]|^(?:transformer\.|lora_transformer_|lycoris_)transformer_blocks[._]"),
        base_model_version="sd3",
        architecture="stable-diffusion-3-medium",
        implementation="https://github.com/Stability-AI/sd3-ref",
        objective="flow",
        resolution=1024,
    ),
)
