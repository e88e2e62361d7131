"""Autoencoders of latent diffusion (AutoencoderKL): their single-file names, and their configuration read off tensor shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.diffusion.families.renaming import Renaming
from engine.diffusion.families.unet_layout import Shapes, few

RESNET = (("norm1", "norm1"), ("conv1", "conv1"), ("norm2", "norm2"), ("conv2", "conv2"), ("nin_shortcut", "conv_shortcut"))
ATTENTION = (("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0"))
ENDS = (("conv_in", "conv_in"), ("conv_out", "conv_out"), ("norm_out", "conv_norm_out"))
EARLY_DIFFUSERS = (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"))
"""Names that early diffusers releases gave the attention of the middle block."""


def vae_renaming(config: Mapping[str, Any]) -> Renaming:
    return Renaming.of(_pairs(len(config["block_out_channels"]), config["layers_per_block"]))


def _pairs(levels: int, resnets: int) -> Iterator[tuple[str, str]]:
    yield "quant_conv", "quant_conv"
    yield "post_quant_conv", "post_quant_conv"
    for side in ("encoder", "decoder"):
        for stored, module in ENDS:
            yield f"{side}.{stored}", f"{side}.{module}"
        for k in (0, 1):
            yield from _resnet(f"{side}.mid.block_{k + 1}", f"{side}.mid_block.resnets.{k}")
        for stored, module in ATTENTION:
            yield f"{side}.mid.attn_1.{stored}", f"{side}.mid_block.attentions.0.{module}"
    for level in range(levels):
        for k in range(resnets):
            yield from _resnet(f"encoder.down.{level}.block.{k}", f"encoder.down_blocks.{level}.resnets.{k}")
        yield f"encoder.down.{level}.downsample", f"encoder.down_blocks.{level}.downsamplers.0"
        mirrored = levels - 1 - level  # the decoder's levels are stored from the finest, the module counts from the coarsest
        for k in range(resnets + 1):
            yield from _resnet(f"decoder.up.{level}.block.{k}", f"decoder.up_blocks.{mirrored}.resnets.{k}")
        yield f"decoder.up.{level}.upsample", f"decoder.up_blocks.{mirrored}.upsamplers.0"


def _resnet(stored: str, module: str) -> Iterator[tuple[str, str]]:
    for stored_leaf, module_leaf in RESNET:
        yield f"{stored}.{stored_leaf}", f"{module}.{module_leaf}"


def modern_name(name: str) -> str:
    """A diffusers name with the attention layers as they are called today."""
    for early, today in EARLY_DIFFUSERS:
        name = name.replace(f".attentions.0.{early}.", f".attentions.0.{today}.")
    return name


def is_attention_projection(stored: str) -> bool:
    """Whether the single-file format keeps this weight as a 1x1 convolution that the module has as a matrix."""
    return re.search(r"\.attn_1\.(q|k|v|proj_out)\.weight$", stored) is not None


def vae_config(shapes: Shapes) -> dict[str, Any]:
    """Constructor arguments of AutoencoderKL that the shapes (stored names without prefix) tell. Raises KeyError, ValueError."""
    channels: list[int] = []
    while (first := shapes.get(f"encoder.down.{len(channels)}.block.0.conv1.weight")) is not None:
        channels.append(first[0])
    few(len(channels), "levels")
    if not channels:
        raise ValueError("its encoder has no levels")
    resnets = 0
    while f"encoder.down.0.block.{resnets}.conv1.weight" in shapes:
        resnets += 1
    few(resnets, "blocks")
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": channels,
        "layers_per_block": resnets,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "mid_block_add_attention": "decoder.mid.attn_1.q.weight" in shapes,
    }
