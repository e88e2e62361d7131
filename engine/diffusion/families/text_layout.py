"""Text encoders of CLIP (Radford et al. 2021): their configuration read off tensor shapes. Stored names are transformers' own."""

from __future__ import annotations

from typing import Any

from engine.diffusion.families.unet_layout import Shapes, few
from engine.diffusion.text.chunks import LENGTH
from engine.diffusion.text.tokenizer import EOS


def clip_text_config(shapes: Shapes) -> dict[str, Any]:
    """Fields of CLIPTextConfig that the shapes (names below `text_model.`) tell. Raises KeyError, ValueError."""
    vocabulary, hidden = shapes["embeddings.token_embedding.weight"]
    positions = shapes["embeddings.position_embedding.weight"][0]
    if vocabulary <= EOS or positions != LENGTH:
        raise ValueError(f"its text encoder has {vocabulary} tokens and {positions} positions, CLIP's have {EOS + 1} and {LENGTH}")
    layers = 0
    while f"encoder.layers.{layers}.mlp.fc1.weight" in shapes:
        layers += 1
    few(layers, "layers")
    if not layers:
        raise ValueError("its text encoder has no layers")
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "max_position_embeddings": positions,
        "projection_dim": hidden,
    }
