"""Self-attention of large pictures made cheaper: within tiles (HyperTile), or with similar tokens merged (ToMe).

Both draw random numbers. They are made from the noise level and the place in the network, so that a run is the same every time.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.hooks import RemovableHandle

from engine.diffusion.inside.unet_blocks import Grid, Module, transformers
from engine.diffusion.sampling.inside import Evaluation

LATENT_PIXEL = 8
"""Pixels of the picture for one of the latent, in HyperTile's sizes."""

Undo = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HyperTile:
    """Self-attention within tiles whose size changes from layer to layer, so that no seam stays in one place.

    tfernd 2023, "HyperTile: Tiled-optimizations for Stable-Diffusion" (published with its code; there is no paper).
    tile_size: smallest side of a tile in pixels of the picture. swap_size: among how many sizes is chosen. max_depth: the number of
    halvings of the latent down to which layers are tiled. scale_depth: deeper tiles are as many times larger.
    """

    tile_size: int = 256
    swap_size: int = 2
    max_depth: int = 0
    scale_depth: bool = False

    def __call__(self, network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
        for place, transformer in enumerate(transformers(network)):
            grid = Grid()
            yield transformer.register_forward_pre_hook(grid)
            for layer, block in enumerate(transformer.transformer_blocks):
                generator = _generator(evaluation, place, layer)
                yield from _around(block.attn1, partial(self._tiled, grid, evaluation, generator))

    def _tiled(self, grid: Grid, evaluation: Evaluation, generator: torch.Generator, x: Tensor) -> tuple[Tensor, Tensor, Undo] | None:
        depth = round(math.log2(max(evaluation.height / grid.height, 1.0)))
        if depth > self.max_depth:
            return None
        smallest = max(32, self.tile_size) // LATENT_PIXEL * (2**depth if self.scale_depth else 1)
        height, width = (self.side(extent, smallest, generator) for extent in (grid.height, grid.width))
        if (height, width) == (grid.height, grid.width):
            return None
        tiles = split(x, grid.height, grid.width, height, width)
        return tiles, tiles, lambda out: joined(out, grid.height, grid.width, height, width)

    def side(self, extent: int, smallest: int, generator: torch.Generator) -> int:
        """One of the `swap_size` smallest divisors of an extent that are not below `smallest`."""
        sides = [side for side in range(min(smallest, extent), extent + 1) if extent % side == 0][: self.swap_size]
        return sides[int(torch.randint(len(sides), (1,), generator=generator))]


def split(x: Tensor, height: int, width: int, tile_height: int, tile_width: int) -> Tensor:
    """[B, height * width, C] -> [B * tiles, tile_height * tile_width, C]."""
    batch, _, channels = x.shape
    parts = x.view(batch, height // tile_height, tile_height, width // tile_width, tile_width, channels)
    return parts.transpose(2, 3).reshape(-1, tile_height * tile_width, channels)


def joined(x: Tensor, height: int, width: int, tile_height: int, tile_width: int) -> Tensor:
    """What `split` did, undone."""
    parts = x.view(-1, height // tile_height, width // tile_width, tile_height, tile_width, x.shape[-1])
    return parts.transpose(2, 3).reshape(-1, height * width, x.shape[-1])


@dataclass(frozen=True)
class TokenMerging:
    """In layers of the latent's full resolution the most similar queries are computed as one.

    Bolya and Hoffman 2023, "Token Merging for Fast Stable Diffusion". As in ComfyUI only the queries are merged, keys and values are
    complete. ratio: the share of the tokens that is merged away; at most three quarters can be.
    """

    ratio: float = 0.3

    def __call__(self, network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
        if self.ratio == 0:
            return
        for place, transformer in enumerate(transformers(network)):
            grid = Grid()
            yield transformer.register_forward_pre_hook(grid)
            for layer, block in enumerate(transformer.transformer_blocks):
                generator = _generator(evaluation, place, layer)
                yield from _around(block.attn1, partial(self._merged, grid, evaluation, generator))

    def _merged(self, grid: Grid, evaluation: Evaluation, generator: torch.Generator, x: Tensor) -> tuple[Tensor, Tensor, Undo] | None:
        if (grid.height, grid.width) != (evaluation.height, evaluation.width):
            return None
        merge = Merge.of(x, grid.height, grid.width, int(x.shape[1] * self.ratio), generator)
        return merge.merged(x), x, merge.unmerged


@dataclass(frozen=True, eq=False)
class Merge:
    """Which tokens of [B, N, C] become one.

    kept, gone [B, ..]: numbers of tokens that stay for themselves, or go; targets [S]: the tokens that others may go into (one of each
    2 x 2 square); into [B, ..]: for each that goes, the place of its target in `targets`.
    """

    kept: Tensor
    gone: Tensor
    targets: Tensor
    into: Tensor

    @classmethod
    def of(cls, x: Tensor, height: int, width: int, count: int, generator: torch.Generator) -> Merge:
        """Merge the `count` tokens that are most like (by cosine) their nearest target."""
        targets, sources = _targets(height, width, generator)
        targets, sources = targets.to(x.device), sources.to(x.device)
        unit = normalize(x, dim=-1)
        likeness, nearest = (unit[:, sources] @ unit[:, targets].transpose(1, 2)).max(dim=-1)
        order = likeness.argsort(dim=-1, descending=True)
        count = min(count, len(sources))
        return cls(sources[order[:, count:]], sources[order[:, :count]], targets, nearest.gather(1, order[:, :count]))

    def merged(self, x: Tensor) -> Tensor:
        """The kept tokens, then each target as the mean of itself and what went into it."""
        kept, gone, targets = _pick(x, self.kept), _pick(x, self.gone), x[:, self.targets]
        into = self.into[..., None].expand_as(gone)
        return torch.cat([kept, targets.scatter_reduce(1, into, gone, "mean", include_self=True)], dim=1)

    def unmerged(self, x: Tensor) -> Tensor:
        """Every token again: those that went have what their target has."""
        kept, targets = x.split([self.kept.shape[1], len(self.targets)], dim=1)
        out = x.new_empty(len(x), self.kept.shape[1] + self.gone.shape[1] + len(self.targets), x.shape[-1])
        out[:, self.targets] = targets
        out.scatter_(1, self.kept[..., None].expand_as(kept), kept)
        gone = _pick(targets, self.into)
        return out.scatter_(1, self.gone[..., None].expand_as(gone), gone)


def _targets(height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The numbers of one token in each 2 x 2 square of a grid, and of all others."""
    rows, columns = max(1, height // 2), max(1, width // 2)
    drop = torch.randint(4, (rows, columns), generator=generator)
    y = 2 * torch.arange(rows)[:, None] + (drop // 2 if height > 1 else 0)
    x = 2 * torch.arange(columns)[None, :] + (drop % 2 if width > 1 else 0)
    numbers = (y * width + x).flatten()
    others = torch.ones(height * width, dtype=torch.bool)
    others[numbers] = False
    return numbers, others.nonzero()[:, 0]


def _pick(x: Tensor, numbers: Tensor) -> Tensor:
    return x.gather(1, numbers[..., None].expand(-1, -1, x.shape[-1]))


def _around(attention: Module, change: Callable[[Tensor], tuple[Tensor, Tensor, Undo] | None]) -> Iterator[RemovableHandle]:
    """Hooks on a self-attention layer: change(tokens) -> (queries, tokens for keys and values, how to undo it on the output), or None.

    Tokens that another change has made fewer or cut up already are left alone.
    """
    undo: list[Undo] = []

    def enter(module: Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> tuple[tuple, dict] | None:
        if kwargs.get("encoder_hidden_states") is not None:
            return None
        found = change(args[0])
        if found is None:
            return None
        queries, others, back = found
        undo.append(back)
        return (queries, *args[1:]), {**kwargs, "encoder_hidden_states": others}

    def leave(module: Module, args: tuple[Tensor, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor | None:
        return undo.pop()(output) if undo else None

    yield attention.register_forward_pre_hook(enter, with_kwargs=True)
    yield attention.register_forward_hook(leave, with_kwargs=True)


def _generator(evaluation: Evaluation, place: int, layer: int) -> torch.Generator:
    (level,) = struct.unpack("<I", struct.pack("<f", float(evaluation.sigma)))
    return torch.Generator().manual_seed((level * 1009 + place) * 1009 + layer)
