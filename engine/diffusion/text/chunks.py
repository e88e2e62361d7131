"""Weighted segments of a prompt as rows of 77 token ids, which is what CLIP's text encoders read."""

from __future__ import annotations

from typing import NamedTuple

from engine.diffusion.text.prompt import parse_prompt
from engine.diffusion.text.tokenizer import BOS, EOS, token_ids

LENGTH = 77
_WHOLE = 8


class Token(NamedTuple):
    id: int
    weight: float


def chunk(text: str, pad: int = EOS) -> list[list[Token]]:
    """A prompt as chunks of 77 tokens: start, up to 75 tokens, end, padding. At least one chunk.

    pad: the id after the end of the text: 49407 for CLIP-L, 0 for OpenCLIP's H and G.
    A segment that does not fit moves to the next chunk if it has fewer than 8 tokens; a longer one is cut at the border.
    """
    chunks: list[list[Token]] = [[Token(BOS, 1.0)]]
    for segment in parse_prompt(text):
        tokens = [Token(id, segment.weight) for id in token_ids(segment.text)]
        if len(tokens) < _WHOLE and len(tokens) > _room(chunks[-1]):
            chunks.append([Token(BOS, 1.0)])
        while len(tokens) > (room := _room(chunks[-1])):
            chunks[-1] += tokens[:room]
            chunks.append([Token(BOS, 1.0)])
            tokens = tokens[room:]
        chunks[-1] += tokens
    return [_closed(tokens, pad) for tokens in chunks]


def _room(tokens: list[Token]) -> int:
    return LENGTH - 1 - len(tokens)


def _closed(tokens: list[Token], pad: int) -> list[Token]:
    return [*tokens, Token(EOS, 1.0), *[Token(pad, 1.0)] * _room(tokens)]


def empty_chunk(pad: int = EOS) -> list[Token]:
    """The chunk of the empty prompt, towards which weights interpolate."""
    return _closed([Token(BOS, 1.0)], pad)
