"""Stable Diffusion 3 and 3.5 (Esser et al. 2024): their adapters."""

from __future__ import annotations

import re

from engine.diffusion.families.adapters import Adapters, clip_part, t5_part, transformer_part

_BLOCK = "transformer_blocks.#."
TABLE = {
    "joint_blocks.#.x_block.attn.qkv": [f"{_BLOCK}attn.to_{name}" for name in "qkv"],
    "joint_blocks.#.x_block.attn.proj": [f"{_BLOCK}attn.to_out.0"],
    "joint_blocks.#.x_block.attn2.qkv": [f"{_BLOCK}attn2.to_{name}" for name in "qkv"],
    "joint_blocks.#.x_block.attn2.proj": [f"{_BLOCK}attn2.to_out.0"],
    "joint_blocks.#.x_block.mlp.fc1": [f"{_BLOCK}ff.net.0.proj"],
    "joint_blocks.#.x_block.mlp.fc2": [f"{_BLOCK}ff.net.2"],
    "joint_blocks.#.x_block.adaLN_modulation.1": [f"{_BLOCK}norm1.linear"],
    "joint_blocks.#.context_block.attn.qkv": [f"{_BLOCK}attn.add_{name}_proj" for name in "qkv"],
    "joint_blocks.#.context_block.attn.proj": [f"{_BLOCK}attn.to_add_out"],
    "joint_blocks.#.context_block.mlp.fc1": [f"{_BLOCK}ff_context.net.0.proj"],
    "joint_blocks.#.context_block.mlp.fc2": [f"{_BLOCK}ff_context.net.2"],
    "joint_blocks.#.context_block.adaLN_modulation.1": [f"{_BLOCK}norm1_context.linear"],
    "x_embedder.proj": ["pos_embed.proj"],
    "context_embedder": ["context_embedder"],
    "t_embedder.mlp.0": ["time_text_embed.timestep_embedder.linear_1"],
    "t_embedder.mlp.2": ["time_text_embed.timestep_embedder.linear_2"],
    "y_embedder.mlp.0": ["time_text_embed.text_embedder.linear_1"],
    "y_embedder.mlp.2": ["time_text_embed.text_embedder.linear_2"],
    "final_layer.linear": ["proj_out"],
    "final_layer.adaLN_modulation.1": ["norm_out.linear"],
}
_ATTENTION = r"transformer_blocks\.\d+\.attn2?\.(?:to_[qkv]|add_[qkv]_proj|to_out\.0|to_add_out)"

SD3_ADAPTERS = Adapters(
    family="sd3",
    title="Stable Diffusion 3",
    parts={
        "transformer": transformer_part(
            TABLE, rf"{_ATTENTION}|transformer_blocks\.\d+\.(?:ff(?:_context)?\.net\.(?:0\.proj|2)|norm1(?:_context)?\.linear)", _ATTENTION
        ),
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
)
