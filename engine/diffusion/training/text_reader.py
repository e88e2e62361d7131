"""Captions to what cross-attention reads, where gradients may flow into the text encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.diffusion.text.chunks import Token, chunk, empty_chunk
from engine.diffusion.text.encode import NO_WORDS, learned, reading, run_encoder
from engine.diffusion.training.batches import stacked_contexts
from engine.diffusion.training.learned_word import LearnedWord
from engine.values.model import Clip


class TextReader:
    """A text encoder as training uses it; captions are prompts. word: one that is trained, which captions hold by name."""

    def __init__(self, encoder: nn.Module, clip: Clip, device: torch.device, word: LearnedWord | None = None) -> None:
        self._encoder = encoder
        self._clip = clip
        self._word = word
        self._device = device

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """[B, 77 n, D] for captions of up to n chunks."""
        find = learned(self._clip, NO_WORDS).find
        if (word := self._word) is not None:
            captions = [word.called(caption) for caption in captions]
            find = word.find
        chunks = [chunk(caption, reading(self._clip).pad, find) for caption in captions]
        rows = [row for own in chunks for row in own]
        hidden = self._weighted(rows)
        parts = hidden.split([len(own) for own in chunks])
        return stacked_contexts([part.flatten(0, 1)[None] for part in parts])

    def _weighted(self, rows: Sequence[Sequence[Token]]) -> Tensor:
        weights = torch.tensor([[token.weight for token in row] for row in rows], device=self._device)[..., None]
        if (weights == 1).all():
            return self._encoded(rows)
        encoded = self._encoded([*rows, empty_chunk(reading(self._clip).pad)])
        own, empty = encoded[:-1], encoded[-1:]
        return torch.where(weights == 1, own, empty + weights * (own - empty))

    def _encoded(self, rows: Sequence[Sequence[Token]]) -> Tensor:
        return run_encoder(self._encoder, reading(self._clip), self._clip.skip, rows, self._device).hidden
