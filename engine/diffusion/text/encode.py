"""A prompt through a text encoder: what cross-attention reads, with the weights of its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import CLIPTextModel

from engine.diffusion.families import FAMILIES
from engine.diffusion.families.family import TextEncoder
from engine.diffusion.memory import Memory
from engine.diffusion.text.chunks import Token, chunk, empty_chunk
from engine.diffusion.text.embeddings import EncoderWords, Words
from engine.diffusion.text.tokenizer import EOS
from engine.values.conditioning import Condition, Conditioning
from engine.values.model import Clip

NO_WORDS = Words()
_ROWS = 32
"""Chunks in one call of the encoder, so that a prompt of any length fits."""


class Encoded(NamedTuple):
    """hidden: [n, 77, D], one row per chunk. pooled: [n, D], the last layer at the end of each text."""

    hidden: Tensor
    pooled: Tensor


@torch.no_grad()
def encode(memory: Memory, clip: Clip, text: str, words: Words = NO_WORDS) -> Conditioning:
    """Encode a prompt of any length, in ComfyUI's syntax.

    words: the embeddings that it may call as `embedding:name` besides those the encoder was given.
    Returns one condition: context [1, 77 n, D] for n chunks and pooled [1, D] of the first, float32 on the CPU. The words' weights
    move their tokens along the line from the empty prompt's token at the same place to their own.
    """
    pad = reading(clip).pad
    known = learned(clip, words)
    rows = chunk(text, pad, known.find, lambda name: words.unknown(name, clip))
    weights = torch.tensor([[token.weight for token in row] for row in rows])
    if (weights == 1).all():
        encoded = encode_chunks(memory, clip, rows)
        return conditioning(encoded.hidden, encoded.pooled)
    encoded = encode_chunks(memory, clip, [*rows, empty_chunk(pad)])
    own, empty = encoded.hidden[:-1], encoded.hidden[-1:]
    factors = weights[..., None]
    return conditioning(torch.where(factors == 1, own, empty + factors * (own - empty)), encoded.pooled)


def reading(clip: Clip) -> TextEncoder:
    """How the encoder's family reads it."""
    return FAMILIES[clip.weights.family].text


def learned(clip: Clip, words: Words) -> EncoderWords:
    """The learned words that this encoder can read."""
    return words.for_encoder(clip, reading(clip).name, clip.weights.arguments["hidden_size"])


def conditioning(hidden: Tensor, pooled: Tensor) -> Conditioning:
    """Rows of chunks [n, 77, D] side by side as one condition."""
    return Conditioning([Condition(hidden.reshape(1, -1, hidden.shape[-1]).contiguous(), pooled[:1].clone())])


@torch.no_grad()
def encode_chunks(memory: Memory, clip: Clip, rows: Sequence[Sequence[Token]]) -> Encoded:
    """Chunks of 77 tokens through the encoder, without their weights; float32 on the CPU."""
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    with memory.text_encoder(clip) as encoder:
        found = [run_encoder(encoder, reading(clip), clip.skip, part, memory.numerics.device) for part in parts]
    return Encoded(*(torch.cat(tensors).float().cpu() for tensors in zip(*found, strict=True)))


def run_encoder(
    encoder: CLIPTextModel, family: TextEncoder, skip: int | None, rows: Sequence[Sequence[Token]], device: torch.device
) -> Encoded:
    """Chunks of 77 tokens through a loaded encoder, on its device; gradients flow where they are on."""
    ids = torch.tensor([[token.id for token in row] for row in rows], device=device)
    with vectors_in_place(encoder, rows):
        output = encoder(input_ids=ids, output_hidden_states=True)
    layer = family.layer if skip is None else skip
    if -layer >= len(output.hidden_states):
        layer = -1
    # transformers gives the layers without the last norm, and the last one also with it
    hidden = output.hidden_states[layer]
    if family.final_norm:
        hidden = output.last_hidden_state if layer == -1 else encoder.final_layer_norm(hidden)
    ends = (ids == EOS).int().argmax(dim=1)
    return Encoded(hidden, output.last_hidden_state[torch.arange(len(ids), device=ids.device), ends])


@contextmanager
def vectors_in_place(encoder: CLIPTextModel, rows: Sequence[Sequence[Token]]) -> Iterator[None]:
    """While it lasts, the tokens of these rows that are vectors have them as their embeddings."""
    places = [(row, column, token.vector) for row, tokens in enumerate(rows) for column, token in enumerate(tokens)]
    learned = [(row, column, vector) for row, column, vector in places if vector is not None]
    if not learned:
        yield
        return
    at_rows, at_columns, vectors = ([*part] for part in zip(*learned, strict=True))

    def put(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed = output.clone()
        changed[at_rows, at_columns] = torch.stack(vectors).to(output)
        return changed

    handle = encoder.embeddings.token_embedding.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()
