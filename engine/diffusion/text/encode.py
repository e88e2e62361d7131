"""A prompt through a text encoder: what cross-attention reads, with the weights of its words."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import CLIPTextModel

from engine.diffusion.families import FAMILIES
from engine.diffusion.families.family import TextEncoder
from engine.diffusion.memory import Memory
from engine.diffusion.text.chunks import Token, chunk, empty_chunk
from engine.diffusion.text.tokenizer import EOS
from engine.values.conditioning import Condition, Conditioning
from engine.values.model import Clip

_ROWS = 32
"""Chunks in one call of the encoder, so that a prompt of any length fits."""


class Encoded(NamedTuple):
    """hidden: [n, 77, D], one row per chunk. pooled: [n, D], the last layer at the end of each text."""

    hidden: Tensor
    pooled: Tensor


@torch.no_grad()
def encode(memory: Memory, clip: Clip, text: str) -> Conditioning:
    """Encode a prompt of any length.

    Returns one condition: context [1, 77 n, D] for n chunks and pooled [1, D] of the first, float32 on the CPU. The words' weights
    move their tokens along the line from the empty prompt's token at the same place to their own.
    """
    reading = FAMILIES[clip.weights.family].text
    rows = chunk(text, reading.pad)
    weights = torch.tensor([[token.weight for token in row] for row in rows])
    if (weights == 1).all():
        encoded = _encode(memory, clip, reading, rows)
        return _conditioning(encoded.hidden, encoded.pooled)
    encoded = _encode(memory, clip, reading, [*rows, empty_chunk(reading.pad)])
    own, empty = encoded.hidden[:-1], encoded.hidden[-1:]
    factors = weights[..., None]
    return _conditioning(torch.where(factors == 1, own, empty + factors * (own - empty)), encoded.pooled)


def _conditioning(hidden: Tensor, pooled: Tensor) -> Conditioning:
    return Conditioning([Condition(hidden.reshape(1, -1, hidden.shape[-1]).contiguous(), pooled[:1].clone())])


def _encode(memory: Memory, clip: Clip, reading: TextEncoder, rows: list[list[Token]]) -> Encoded:
    ids = torch.tensor([[token.id for token in row] for row in rows])
    with memory.text_encoder(clip) as encoder:
        parts = [_run(encoder, reading, clip.skip, part.to(memory.numerics.device)) for part in ids.split(_ROWS)]
    return Encoded(*(torch.cat(tensors).float().cpu() for tensors in zip(*parts, strict=True)))


def _run(encoder: CLIPTextModel, reading: TextEncoder, skip: int | None, ids: Tensor) -> Encoded:
    output = encoder(input_ids=ids, output_hidden_states=True)
    layer = reading.layer if skip is None else skip
    if -layer >= len(output.hidden_states):
        layer = -1
    # transformers gives the layers without the last norm, and the last one also with it
    hidden = output.hidden_states[layer]
    if reading.final_norm:
        hidden = output.last_hidden_state if layer == -1 else encoder.final_layer_norm(hidden)
    ends = (ids == EOS).int().argmax(dim=1)
    return Encoded(hidden, output.last_hidden_state[torch.arange(len(ids), device=ids.device), ends])
