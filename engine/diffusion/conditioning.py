"""Arithmetic between encoded prompts. Nothing writes to its arguments."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from engine.errors import InvalidInput
from engine.values.conditioning import Condition, Conditioning


def averaged(to: Conditioning, other: Conditioning, strength: float) -> Conditioning:
    """Each of `to`, mixed with the first of `other`: `strength` of its own tokens and pooled vector, the rest of the other's.

    The other is cut or filled with zeros to the same number of tokens. If it has no pooled vector, the own one stays.
    """
    if not len(other):
        raise InvalidInput("The conditioning to mix in is empty.", hint="Connect an encoded prompt.")
    source = other[0]
    return Conditioning(_averaged(condition, source, strength) for condition in to)


def _averaged(condition: Condition, source: Condition, strength: float) -> Condition:
    tokens = condition.context.shape[1]
    words = pad(source.context[:, :tokens], (0, 0, 0, max(0, tokens - source.context.shape[1])))
    pooled = condition.pooled
    if source.pooled is not None:
        pooled = source.pooled if pooled is None else pooled * strength + source.pooled * (1 - strength)
    return replace(condition, context=condition.context * strength + words * (1 - strength), pooled=pooled)


def concatenated(to: Conditioning, other: Conditioning) -> Conditioning:
    """Each of `to` with the tokens of the first of `other` after its own."""
    if not len(other):
        raise InvalidInput("The conditioning to add is empty.", hint="Connect an encoded prompt.")
    return Conditioning(replace(condition, context=torch.cat([condition.context, other[0].context], dim=1)) for condition in to)


def zeroed(conditioning: Conditioning) -> Conditioning:
    """The same conditions with all token embeddings and pooled vectors zero."""
    return Conditioning(
        replace(condition, context=torch.zeros_like(condition.context), pooled=_zeros(condition.pooled)) for condition in conditioning
    )


def _zeros(pooled: Tensor | None) -> Tensor | None:
    return None if pooled is None else torch.zeros_like(pooled)


def with_extras(conditioning: Conditioning, **extras: Any) -> Conditioning:
    """The same conditions with these further values, which only some families read."""
    return Conditioning(replace(condition, extras=MappingProxyType({**condition.extras, **extras})) for condition in conditioning)
