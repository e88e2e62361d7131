"""Weighted segments of a prompt as rows of 77 token ids, which is what CLIP's text encoders read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from engine.diffusion.text.prompt import Segment, parse_prompt
from engine.diffusion.text.tokenizer import BOS, EOS, token_ids

LENGTH = 77
CALL = "embedding:"
_WHOLE = 8

Find = Callable[[str], Sequence[Tensor] | None]
"""The name of a learned word -> its vectors [D], or None if there is no such word."""


class Token(NamedTuple):
    """id: of the vocabulary; anything but the end's where vector [D] stands for the embedding that the id would have."""

    id: int
    weight: float
    vector: Tensor | None = None


def chunk(text: str, pad: int = EOS, find: Find | None = None, unknown: Callable[[str], object] = str) -> list[list[Token]]:
    """A prompt as chunks of 77 tokens: start, up to 75 tokens, end, padding. At least one chunk.

    pad: the id after the end of the text: 49407 for CLIP-L, 0 for OpenCLIP's H and G.
    find, unknown: what `embedding:name` stands for, and who hears of names that stand for nothing; without `find` it is plain text.
    A segment (a text of one weight, or a learned word) that does not fit moves to the next chunk if it has fewer than 8 tokens; a
    longer one is cut at the border.
    """
    chunks: list[list[Token]] = [[Token(BOS, 1.0)]]
    for tokens in (tokens for segment in parse_prompt(text) for tokens in _pieces(segment, find, unknown)):
        if len(tokens) < _WHOLE and len(tokens) > room(chunks[-1]):
            chunks.append([Token(BOS, 1.0)])
        start = 0
        while len(tokens) - start > (left := room(chunks[-1])):
            chunks[-1] += tokens[start : start + left]
            chunks.append([Token(BOS, 1.0)])
            start += left
        chunks[-1] += tokens[start:]
    return [closed(tokens, pad) for tokens in chunks]


def called(text: str) -> list[str]:
    """The names after `embedding:` in a prompt, as `chunk` looks them up first."""
    calls = (part for segment in parse_prompt(text) for part in _split(segment.text) if part.startswith(CALL))
    return [words[0] for call in calls if (words := call.removeprefix(CALL).split(maxsplit=1))]


def _split(text: str) -> list[str]:
    """The text cut before every `embedding:` that begins it or follows a space or the end of a line."""
    first, *calls = text.replace(f"\n{CALL}", f" {CALL}").split(f" {CALL}")
    return [first, *(CALL + call for call in calls)]


def _pieces(segment: Segment, find: Find | None, unknown: Callable[[str], object]) -> Iterator[list[Token]]:
    for part in _split(segment.text) if find else [segment.text]:
        words = part.removeprefix(CALL).split(maxsplit=1) if part.startswith(CALL) else []
        if find and words:
            vectors, rest = _call(words[0], " ".join(words[1:]), find, unknown)
            yield [Token(0, segment.weight, vector) for vector in vectors]
        else:
            rest = part
        yield [Token(id, segment.weight) for id in token_ids(rest)]


def _call(name: str, rest: str, find: Find, unknown: Callable[[str], object]) -> tuple[Sequence[Tensor], str]:
    """The vectors of a call and the text after it; commas belong to the text unless the name has them itself."""
    vectors = find(name)
    bare = name.strip(",")
    if vectors is None and bare != name:
        vectors, rest = find(bare), f"{name[len(name.rstrip(',')) :]} {rest}"
    if vectors is None:
        unknown(bare)
    return vectors or (), rest


def room(tokens: Sequence[Token]) -> int:
    """How many more tokens a chunk takes that is not closed yet."""
    return LENGTH - 1 - len(tokens)


def closed(tokens: Sequence[Token], pad: int) -> list[Token]:
    """A chunk with its end and padding."""
    return [*tokens, Token(EOS, 1.0), *[Token(pad, 1.0)] * room(tokens)]


def empty_chunk(pad: int = EOS) -> list[Token]:
    """The chunk of the empty prompt, towards which weights interpolate."""
    return closed([Token(BOS, 1.0)], pad)
