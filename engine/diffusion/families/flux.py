"""Flux.1 (Black Forest Labs 2024): its adapters."""

from __future__ import annotations

import re

from engine.diffusion.families.adapters import Adapters, clip_part, t5_part, transformer_part

_DOUBLE, _SINGLE = "transformer_blocks.#.", "single_transformer_blocks.#."
TABLE = {
    "double_blocks.#.img_attn.qkv": [f"{_DOUBLE}attn.to_{name}" for name in "qkv"],
    "double_blocks.#.img_attn.proj": [f"{_DOUBLE}attn.to_out.0"],
    "double_blocks.#.img_mlp.0": [f"{_DOUBLE}ff.net.0.proj"],
    "double_blocks.#.img_mlp.2": [f"{_DOUBLE}ff.net.2"],
    "double_blocks.#.img_mod.lin": [f"{_DOUBLE}norm1.linear"],
    "double_blocks.#.txt_attn.qkv": [f"{_DOUBLE}attn.add_{name}_proj" for name in "qkv"],
    "double_blocks.#.txt_attn.proj": [f"{_DOUBLE}attn.to_add_out"],
    "double_blocks.#.txt_mlp.0": [f"{_DOUBLE}ff_context.net.0.proj"],
    "double_blocks.#.txt_mlp.2": [f"{_DOUBLE}ff_context.net.2"],
    "double_blocks.#.txt_mod.lin": [f"{_DOUBLE}norm1_context.linear"],
    "single_blocks.#.linear1": [*(f"{_SINGLE}attn.to_{name}" for name in "qkv"), f"{_SINGLE}proj_mlp"],
    "single_blocks.#.linear2": [f"{_SINGLE}proj_out"],
    "single_blocks.#.modulation.lin": [f"{_SINGLE}norm.linear"],
    "img_in": ["x_embedder"],
    "txt_in": ["context_embedder"],
    "time_in.in_layer": ["time_text_embed.timestep_embedder.linear_1"],
    "time_in.out_layer": ["time_text_embed.timestep_embedder.linear_2"],
    "vector_in.in_layer": ["time_text_embed.text_embedder.linear_1"],
    "vector_in.out_layer": ["time_text_embed.text_embedder.linear_2"],
    "guidance_in.in_layer": ["time_text_embed.guidance_embedder.linear_1"],
    "guidance_in.out_layer": ["time_text_embed.guidance_embedder.linear_2"],
    "final_layer.linear": ["proj_out"],
    "final_layer.adaLN_modulation.1": ["norm_out.linear"],
}
_ATTENTION = (
    r"transformer_blocks\.\d+\.attn\.(?:to_[qkv]|add_[qkv]_proj|to_out\.0|to_add_out)|single_transformer_blocks\.\d+\.attn\.to_[qkv]"
)
_OTHERS = (
    r"transformer_blocks\.\d+\.(?:ff(?:_context)?\.net\.(?:0\.proj|2)|norm1(?:_context)?\.linear)"
    r"|single_transformer_blocks\.\d+\.(?:proj_mlp|proj_out|norm\.linear)"
)

FLUX_ADAPTERS = Adapters(
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
)
