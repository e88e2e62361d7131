"""The texts that one prompt becomes, through the text encoder, with AUTOMATIC1111's weighting of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from engine.diffusion.memory import Memory
from engine.diffusion.text.a1111.chunks import LearnedNames, chunks_of
from engine.diffusion.text.a1111.emphasis import BREAK, parse_emphasis
from engine.diffusion.text.chunks import Token, empty_chunk
from engine.diffusion.text.embeddings import Words
from engine.diffusion.text.encode import conditioning, encode_chunks, learned, reading
from engine.diffusion.text.prompt import Segment
from engine.values.conditioning import Condition
from engine.values.model import Clip

Emphasis = Literal["Original", "No norm", "Ignore", "None"]
"""Original: weights multiply, then the mean of a chunk is brought back to what it was. No norm: without the latter. Ignore: brackets
are read and weigh nothing. None: brackets are plain text. Names as in infotext."""


def encode_texts(memory: Memory, clip: Clip, texts: Mapping[str, int], emphasis: Emphasis, words: Words) -> list[Condition]:
    """Encode the texts that a prompt is over the steps, each as one condition, in order.

    texts: with the number of stretches that each stands for. All of them get the same number of chunks; and because AUTOMATIC1111
    encodes the stretches as one batch, the mean that is restored is that of all their chunks at one place.
    """
    pad = reading(clip).pad
    names = LearnedNames(words.named(clip), learned(clip, words))
    rows = [chunks_of(_segments(text, emphasis), pad, names) for text in texts]
    length = max(map(len, rows))
    rows = [[*chunks, *[empty_chunk(pad)] * (length - len(chunks))] for chunks in rows]
    encoded = encode_chunks(memory, clip, [chunk for chunks in rows for chunk in chunks])
    hidden = encoded.hidden.unflatten(0, (len(rows), length))
    pooled = encoded.pooled.unflatten(0, (len(rows), length))
    if emphasis in ("Original", "No norm"):
        hidden = weighted(hidden, _weights(rows), torch.tensor([*texts.values()]), restore=emphasis == "Original")
    return [conditioning(own, first)[0] for own, first in zip(hidden, pooled, strict=True)]


def weighted(hidden: Tensor, weights: Tensor, counts: Tensor, *, restore: bool) -> Tensor:
    """hidden [T, n, 77, D] times the weights [T, n, 77] of its tokens.

    restore: bring the mean of each of the n chunks over all T texts, of which the t-th counts counts[t] times, back to what it was.
    A chunk whose mean becomes 0 stays as it is.
    """
    changed = hidden * weights[..., None]
    if not restore or (weights == 1).all():
        return changed
    share = (counts / counts.sum()).to(hidden)
    before, after = ((share[:, None] * value.mean(dim=(2, 3))).sum(dim=0) for value in (hidden, changed))
    ratio = torch.where(after == 0, torch.ones_like(after), before / after)
    return changed * ratio[None, :, None, None]


def _segments(text: str, emphasis: Emphasis) -> list[Segment]:
    if emphasis == "None":
        return [Segment(text, 1.0)]
    segments = parse_emphasis(text)
    return segments if emphasis != "Ignore" else [part if part is BREAK else Segment(part.text, 1.0) for part in segments]


def _weights(rows: Sequence[Sequence[Sequence[Token]]]) -> Tensor:
    return torch.tensor([[[token.weight for token in chunk] for chunk in chunks] for chunks in rows])
