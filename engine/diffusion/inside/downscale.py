"""Large pictures composed at a smaller size: the features of a U-Net shrunk in the first part of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.models.upsampling import Upsample2D
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from engine.diffusion.inside.unet_blocks import Block, Module, input_blocks, output_blocks
from engine.diffusion.pixels.resize import resize
from engine.diffusion.sampling.inside import Evaluation


@dataclass(frozen=True)
class Downscale:
    """`inside`: after one input block the features are made smaller, and on the way up as large again as what lies beside them.

    Kohya 2023, "Deep Shrink" (published with its code; there is no paper). block: the input block's number, from 1. after_skip:
    whether what this block hands to the way up keeps its size. down, up: methods of pixels.resize.
    """

    block: int = 3
    factor: float = 2.0
    start_percent: float = 0.0
    end_percent: float = 0.35
    after_skip: bool = True
    down: str = "bicubic"
    up: str = "bicubic"

    def __call__(self, network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
        inputs = input_blocks(network)
        if self.factor == 1 or self.block >= len(inputs) or not evaluation.between(self.start_percent, self.end_percent):
            return
        sizes: dict[int, torch.Size] = {}
        after = [block.first for block in inputs[1:]] + [network.mid_block.resnets[0]]
        if self.after_skip:
            yield after[self.block].register_forward_pre_hook(self._shrink_input)
        else:
            yield inputs[self.block].last.register_forward_hook(self._shrink_output)
        for number, block in enumerate(inputs):
            yield block.last.register_forward_hook(partial(_note, sizes=sizes, number=number))
        yield from self._growing(network, len(inputs), sizes)

    def _growing(self, network: Module, count: int, sizes: dict[int, torch.Size]) -> Iterator[RemovableHandle]:
        """What enters an output block gets the size of the features beside it."""
        befores = [Block((network.mid_block,)), *output_blocks(network)[:-1]]
        for number, before in enumerate(befores):
            beside = count - 1 - number
            if isinstance(before.last, Upsample2D):
                yield before.last.register_forward_pre_hook(partial(_upsample_to, sizes=sizes, number=beside))
            else:
                yield before.last.register_forward_hook(partial(self._grow, sizes=sizes, number=beside))

    def _smaller(self, x: Tensor) -> Tensor:
        height, width = (max(1, round(extent / self.factor)) for extent in x.shape[-2:])
        return _resized(x, height, width, self.down)

    def _shrink_input(self, module: Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._smaller(args[0]), *args[1:])

    def _shrink_output(self, module: Module, args: tuple[Any, ...], output: Any) -> Any:
        return _replaced(output, self._smaller(_tensor(output)))

    def _grow(self, module: Module, args: tuple[Any, ...], output: Any, *, sizes: dict[int, torch.Size], number: int) -> Any:
        x, (height, width) = _tensor(output), sizes[number]
        return output if x.shape[-2:] == (height, width) else _replaced(output, _resized(x, height, width, self.up))


def _upsample_to(module: Module, args: tuple[Any, ...], *, sizes: dict[int, torch.Size], number: int) -> tuple[Any, ...]:
    return (args[0], sizes[number])


def _note(module: Module, args: tuple[Any, ...], output: Any, *, sizes: dict[int, torch.Size], number: int) -> None:
    sizes[number] = _tensor(output).shape[-2:]


def _resized(x: Tensor, height: int, width: int, method: str) -> Tensor:
    return resize(x.float(), width, height, method).to(x.dtype)


def _tensor(output: Any) -> Tensor:
    """A transformer of diffusers gives a tuple, everything else a tensor."""
    return output[0] if isinstance(output, tuple) else output


def _replaced(output: Any, x: Tensor) -> Any:
    return (x, *output[1:]) if isinstance(output, tuple) else x
