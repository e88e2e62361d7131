"""How tensors of adapter files are named. Several programs write such files, each in its own way."""

from __future__ import annotations

import re

LONGEST = 400
"""Characters of a tensor's name. The longest that is written has about 150; some steps take the square of the length."""

SUFFIXES = {
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.bias": "bias",
    ".lora_B": "up",
    ".lora_A": "down",
    ".alpha": "alpha",
    ".dora_scale": "dora_scale",
    ".lora_magnitude_vector.default.weight": "dora_scale",
    ".lora_magnitude_vector.weight": "dora_scale",
    ".lora_magnitude_vector": "dora_scale",
    ".diff": "diff",
    ".w_norm": "diff",
    ".diff_b": "bias",
    ".b_norm": "bias",
    **{f".hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    **{f".{name}.weight": f"glora_{name}" for name in ("a1", "a2", "b1", "b2")},
    ".oft_blocks": "oft_blocks",
    ".rescale": "rescale",
    ".on_input": "on_input",
    ".weight": "factors",  # of (IA)^3; the last, since others end so as well
}
"""End of a tensor's name -> its role in the adapter of one module."""

_WORDS = """
    down_blocks mid_block up_blocks transformer_blocks single_transformer_blocks to_q to_k to_v to_out proj_in proj_out to_add_out
    add_q_proj add_k_proj add_v_proj time_emb_proj conv_shortcut conv_in conv_out conv_norm_out time_embedding add_embedding linear_1
    linear_2 norm1_context norm2_context ff_context norm_q norm_k norm_added_q norm_added_k proj_mlp norm_out x_embedder t_embedder
    y_embedder context_embedder time_text_embed timestep_embedder text_embedder guidance_embedder pos_embed input_blocks middle_block
    output_blocks in_layers out_layers emb_layers skip_connection time_embed label_emb double_blocks single_blocks img_attn img_mlp
    img_mod txt_attn txt_mlp txt_mod img_in txt_in time_in vector_in guidance_in in_layer out_layer final_layer adaLN_modulation
    joint_blocks context_block x_block text_model self_attn q_proj k_proj v_proj out_proj layer_norm layer_norm1 layer_norm2
    final_layer_norm token_embedding position_embedding text_projection wi_0 wi_1
"""
"""Names of modules that have a `_` of their own."""

_PIECES = re.compile(rf"(?:{'|'.join(sorted(_WORDS.split(), key=len, reverse=True))})(?=_|$)|[^_]+")


def split(name: str) -> tuple[str, str] | None:
    """The module's name as the file spells it, and the tensor's role; None for a tensor of no known role, or a name that no module has."""
    if len(name) > LONGEST:
        return None
    for suffix, role in SUFFIXES.items():
        if name.endswith(suffix):
            return name[: -len(suffix)].replace(".processor.", "."), role
    return None


def dotted(flat: str) -> str:
    """A module's path with dots, from one with `_` in their place: `mid_block_attentions_0_proj_in` -> `mid_block.attentions.0.proj_in`."""
    return ".".join(_PIECES.findall(flat))
