"""The blocks of a diffusers U-Net in the order they run, counted as the original implementation counts them.

Rombach et al. 2022: input_blocks.0 is the first convolution, then each residual block (with its attention) and each downsampling is
an input block; each residual block of the way up (with its attention and a following upsampling) is an output block. Output block j
takes the output of input block n - 1 - j beside it.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, NamedTuple

import torch

from engine.errors import InvalidInput

Module = Any
"""A network of diffusers or a part of one. torch's own type does not know what parts it has."""


class Block(NamedTuple):
    """Modules that run one after the other. The first one has `out_channels`."""

    modules: tuple[Module, ...]

    @property
    def first(self) -> Module:
        return self.modules[0]

    @property
    def last(self) -> Module:
        return self.modules[-1]


def input_blocks(unet: Module) -> list[Block]:
    _check(unet)
    blocks = [Block((unet.conv_in,))]
    for level in unet.down_blocks:
        blocks.extend(_blocks(level))
        blocks.extend(Block((module,)) for module in level.downsamplers or ())
    return blocks


def output_blocks(unet: Module) -> list[Block]:
    _check(unet)
    blocks = []
    for level in unet.up_blocks:
        *others, last = _blocks(level)
        blocks.extend([*others, Block((*last.modules, *(level.upsamplers or ())))])
    return blocks


def middle(unet: Module) -> list[Module]:
    """The spatial transformers of the middle block, at least one. Raises InvalidInput where it has none."""
    _check(unet)
    found = [module for module in getattr(unet.mid_block, "attentions", None) or () if hasattr(module, "transformer_blocks")]
    if not found:
        raise InvalidInput(
            "This model has no attention in the middle of its network, which the guidance on it works with.",
            hint="Take perturbed-attention and self-attention guidance off this model.",
        )
    return found


def transformers(unet: Module) -> list[Module]:
    """Every spatial transformer, in the order they run."""
    _check(unet)
    levels = [*unet.down_blocks, *([unet.mid_block] if unet.mid_block is not None else []), *unet.up_blocks]
    return [module for level in levels for module in getattr(level, "attentions", None) or ()]


class Grid:
    """A forward pre-hook of a spatial transformer that notes the height and width which its tokens stand for."""

    def __init__(self) -> None:
        self.height = self.width = 0

    def __call__(self, module: Module, args: tuple[torch.Tensor, ...]) -> None:
        self.height, self.width = args[0].shape[-2:]


def _blocks(level: Module) -> list[Block]:
    attentions = getattr(level, "attentions", None) or ()
    return [Block((resnet,) if attention is None else (resnet, attention)) for resnet, attention in zip_longest(level.resnets, attentions)]


def _check(network: Module) -> None:
    if not hasattr(network, "down_blocks"):
        raise InvalidInput(
            f"A method for U-Nets was put on a model whose network is a {type(network).__name__}.",
            hint="Take the node off this model; skip-layer guidance is the one for transformers such as SD3 and Flux.",
        )
