"""A prompt as chunks of 77 tokens, cut as AUTOMATIC1111 cuts: at commas, at BREAK, never inside a learned word."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.diffusion.text.a1111.emphasis import BREAK
from engine.diffusion.text.chunks import LENGTH, Token, closed
from engine.diffusion.text.embeddings import EncoderWords
from engine.diffusion.text.prompt import Segment
from engine.diffusion.text.tokenizer import BOS, token_ids

ROOM = LENGTH - 2
BACKTRACK = 20
"""Tokens that move to the next chunk to keep together what stands after a comma."""
COMMA = 267


class LearnedNames:
    """Learned words by the tokens that their names are made of: A1111 finds a name anywhere in a prompt, without a mark before it."""

    def __init__(self, names: Sequence[str], words: EncoderWords) -> None:
        self._words = words
        self._by_first: dict[int, list[tuple[list[int], str]]] = {}
        for name in names:
            if ids := token_ids(name):
                self._by_first.setdefault(ids[0], []).append((ids, name))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def at(self, ids: Sequence[int], position: int) -> tuple[Sequence[Tensor], int] | None:
        """The vectors of the longest name that stands at a position, and how many tokens the name has."""
        for own, name in self._by_first.get(ids[position], ()):
            if list(ids[position : position + len(own)]) == own and (vectors := self._words.find(name)):
                return vectors, len(own)
        return None


def chunks_of(segments: Sequence[Segment], pad: int, names: LearnedNames) -> list[list[Token]]:
    """Segments of a prompt (see `emphasis`) as closed chunks, at least one.

    A chunk that is full gives what stands after its last comma to the next one, if these are at most 20 tokens.
    """
    building = _Building()
    for segment in segments:
        if segment is BREAK:
            building.end_chunk()
            continue
        ids = token_ids(segment.text)
        position = 0
        while position < len(ids):
            found = names.at(ids, position)
            if found is None:
                building.add(Token(ids[position], segment.weight))
                position += 1
            else:
                building.add_word([Token(0, segment.weight, vector) for vector in found[0]], ids[position])
                position += found[1]
    return [closed([Token(BOS, 1.0), *tokens], pad) for tokens in building.finished()]


class _Building:
    def __init__(self) -> None:
        self.chunks: list[list[Token]] = [[]]
        self.after_comma: int | None = None
        """Where, in the last chunk, the text after its last comma begins."""

    def end_chunk(self, carried: Sequence[Token] = ()) -> None:
        self.chunks.append([*carried])
        self.after_comma = None

    def add(self, token: Token) -> None:
        self._make_room(token.id)
        self.chunks[-1].append(token)
        if token.id == COMMA:
            self.after_comma = len(self.chunks[-1])

    def add_word(self, tokens: Sequence[Token], first: int) -> None:
        """A learned word moves whole to the next chunk where it does not fit; one longer than a chunk is cut."""
        self._make_room(first)
        if len(self.chunks[-1]) + len(tokens) > ROOM and self.chunks[-1]:
            self.end_chunk()
        for start in range(0, len(tokens), ROOM):
            if start:
                self.end_chunk()
            self.chunks[-1] += tokens[start : start + ROOM]

    def _make_room(self, coming: int) -> None:
        last = self.chunks[-1]
        if len(last) < ROOM:
            return
        if coming != COMMA and self.after_comma is not None and len(last) - self.after_comma < BACKTRACK:
            carried = last[self.after_comma :]
            del last[self.after_comma :]
            self.end_chunk(carried)
        else:
            self.end_chunk()

    def finished(self) -> list[list[Token]]:
        return self.chunks[:-1] if len(self.chunks) > 1 and not self.chunks[-1] else self.chunks
