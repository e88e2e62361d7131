"""Transformers whose numbered blocks have a stream for the picture and one for the text (Esser et al. 2024): SD3 and Flux.

How files call the layers that diffusers' modules of both families call the same, and which of them a LoRA changes.
"""

from __future__ import annotations

from collections.abc import Sequence

_BLOCK = "transformer_blocks.#."
_PICTURE = (["attn.to_q", "attn.to_k", "attn.to_v"], ["attn.to_out.0"], ["ff.net.0.proj"], ["ff.net.2"], ["norm1.linear"])
_TEXT = (
    ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    ["attn.to_add_out"],
    ["ff_context.net.0.proj"],
    ["ff_context.net.2"],
    ["norm1_context.linear"],
)
ATTENTION = r"transformer_blocks\.\d+\.attn2?\.(?:to_[qkv]|add_[qkv]_proj|to_out\.0|to_add_out)"
OTHERS = r"transformer_blocks\.\d+\.(?:ff(?:_context)?\.net\.(?:0\.proj|2)|norm1(?:_context)?\.linear)"
END = {"final_layer.linear": ["proj_out"], "final_layer.adaLN_modulation.1": ["norm_out.linear"]}

Table = dict[str, list[str]]
"""Stored path -> module paths, as `adapters.BlockNames` reads it."""


def joint_blocks(stored: str, picture: Sequence[str], text: Sequence[str]) -> Table:
    """stored: what the names of a block's layers begin with. picture, text: the layers of the two streams, in the order query with key
    and value, output, first and second matrix of the MLP, modulation."""
    rows = [*zip(picture, _PICTURE, strict=True), *zip(text, _TEXT, strict=True)]
    return {stored + name: [_BLOCK + path for path in paths] for name, paths in rows}


def embedder(name: str, first: str, second: str) -> Table:
    """The two matrices that embed a number or a vector. name: which, as diffusers calls it."""
    return {stored: [f"time_text_embed.{name}.linear_{number}"] for number, stored in ((1, first), (2, second))}
