"""U-Nets of latent diffusion (Rombach et al. 2022): their single-file names, and their configuration read off tensor shapes.

Serves every family whose network is a UNet2DConditionModel; the names are those of the original implementation
(input_blocks, middle_block, output_blocks).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.diffusion.families.renaming import Renaming

Shapes = Mapping[str, tuple[int, ...]]
"""Names and shapes of the tensors of a file or network."""

RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
)
ENDS = (
    ("input_blocks.0.0", "conv_in"),
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
)

MOST_BLOCKS = 200
"""Of one kind in a network. Names and counts come from the file, and a module is built from them before a tensor is missed."""


def few(count: int, what: str) -> int:
    """The count; raises ValueError if no network has so many."""
    if count > MOST_BLOCKS:
        raise ValueError(f"it has {count} {what}, more than {MOST_BLOCKS}")
    return count


@dataclass(frozen=True)
class Levels:
    """The skeleton of a U-Net: residual blocks per level on the way down, and for each level whether it has attention."""

    resnets: int
    attention: tuple[bool, ...]

    def renaming(self) -> Renaming:
        return Renaming.of([*ENDS, *self._down(), *self._middle(), *self._up()])

    def _down(self) -> Iterator[tuple[str, str]]:
        for level, attention in enumerate(self.attention):
            first = 1 + level * (self.resnets + 1)
            for k in range(self.resnets):
                yield from _resnet(f"input_blocks.{first + k}.0", f"down_blocks.{level}.resnets.{k}")
                if attention:
                    yield f"input_blocks.{first + k}.1", f"down_blocks.{level}.attentions.{k}"
            if level < len(self.attention) - 1:
                yield f"input_blocks.{first + self.resnets}.0.op", f"down_blocks.{level}.downsamplers.0.conv"

    def _middle(self) -> Iterator[tuple[str, str]]:
        yield from _resnet("middle_block.0", "mid_block.resnets.0")
        yield "middle_block.1", "mid_block.attentions.0"
        yield from _resnet("middle_block.2", "mid_block.resnets.1")

    def _up(self) -> Iterator[tuple[str, str]]:
        for level, attention in enumerate(reversed(self.attention)):
            first = level * (self.resnets + 1)
            for k in range(self.resnets + 1):
                yield from _resnet(f"output_blocks.{first + k}.0", f"up_blocks.{level}.resnets.{k}")
                if attention:
                    yield f"output_blocks.{first + k}.1", f"up_blocks.{level}.attentions.{k}"
            if level < len(self.attention) - 1:
                upsampler = 2 if attention else 1
                yield f"output_blocks.{first + self.resnets}.{upsampler}.conv", f"up_blocks.{level}.upsamplers.0.conv"


def _resnet(stored: str, module: str) -> Iterator[tuple[str, str]]:
    for stored_leaf, module_leaf in RESNET:
        yield f"{stored}.{stored_leaf}", f"{module}.{module_leaf}"


def levels_of_config(config: Mapping[str, Any]) -> Levels:
    return Levels(config["layers_per_block"], tuple(kind.startswith("CrossAttn") for kind in config["down_block_types"]))


def levels_of_diffusers(shapes: Shapes) -> Levels:
    """The skeleton of a U-Net stored under the module's own names."""
    found = {
        (int(level), kind, int(index))
        for level, kind, index in _matches(r"down_blocks\.(\d{1,9})\.(resnets|attentions)\.(\d{1,9})\.", shapes)
    }
    count = few(1 + max((level for level, _, _ in found), default=-1), "levels")
    resnets = few(1 + max((index for level, kind, index in found if level == 0 and kind == "resnets"), default=-1), "blocks")
    return Levels(resnets, tuple((level, "attentions", 0) in found for level in range(count)))


def unet_config(shapes: Shapes) -> dict[str, Any]:
    """Constructor arguments of UNet2DConditionModel that the shapes (stored names without prefix) tell.

    Raises KeyError for a tensor that is needed and absent, ValueError for a structure that no U-Net of this kind has.
    """
    levels, channels, depths = _read_levels(shapes)
    attention = levels.attention
    cross = next((shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")), None)
    projection = next((shape for name, shape in shapes.items() if name.endswith(".1.proj_in.weight")), None)
    if cross is None or projection is None:
        raise ValueError("no level has attention")
    down = ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention]
    up = ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)]
    return {
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
        "block_out_channels": channels,
        "layers_per_block": levels.resnets,
        "down_block_types": down,
        "up_block_types": up,
        "transformer_layers_per_block": depths,
        "cross_attention_dim": cross,
        "use_linear_projection": len(projection) == 2,
    }


def _read_levels(shapes: Shapes) -> tuple[Levels, list[int], list[int]]:
    """The skeleton, the channels of each level and the depth of its transformers (1 where it has none)."""
    kinds = {(int(block), kind) for block, kind in _matches(r"input_blocks\.(\d+)\.(0\.op|0\.in_layers|1\.transformer_blocks)\.", shapes)}
    blocks = sorted({block for block, _ in kinds})
    few(len(blocks), "input blocks")
    if not blocks or blocks != list(range(1, len(blocks) + 1)):
        raise ValueError("its input blocks are not numbered 1, 2, 3, ...")
    levels: list[list[int]] = [[]]
    for block in blocks:
        if (block, "0.op") in kinds:
            levels.append([])
        else:
            levels[-1].append(block)
    counts = {len(level) for level in levels}
    if len(counts) != 1 or 0 in counts:
        raise ValueError("its levels have unequal numbers of residual blocks")
    channels = [shapes[f"input_blocks.{level[0]}.0.out_layers.3.weight"][0] for level in levels]
    attention = tuple((level[0], "1.transformer_blocks") in kinds for level in levels)
    depths = [_depth(shapes, level[0]) for level in levels]
    return Levels(counts.pop(), attention), channels, depths


def _depth(shapes: Shapes, block: int) -> int:
    last = max((int(k) for (k,) in _matches(rf"input_blocks\.{block}\.1\.transformer_blocks\.(\d{{1,9}})\.", shapes)), default=0)
    return few(1 + last, "transformers in a block")


def _matches(pattern: str, shapes: Shapes) -> Iterator[tuple[str, ...]]:
    compiled = re.compile(pattern)
    for name in shapes:
        if found := compiled.match(name):
            yield found.groups()
