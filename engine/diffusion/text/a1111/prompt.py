"""AUTOMATIC1111's positive and negative prompt as two conditionings: AND and prompt editing resolved, everything encoded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.diffusion.memory import Memory
from engine.diffusion.text.a1111.composition import split_and
from engine.diffusion.text.a1111.editing import ranges, stages
from engine.diffusion.text.a1111.encode import Emphasis, encode_texts
from engine.diffusion.text.embeddings import Words
from engine.values.conditioning import Conditioning, StepRanges
from engine.values.model import Clip


@dataclass(frozen=True)
class Timing:
    """steps: of the sampling run, that whole numbers and fractions in prompts are of; second_order: the sampler evaluates the network
    twice a step, and A1111 then counts evaluations. first_pass_steps: 0 in the first pass, its steps in a second one (hires fix).
    """

    steps: int
    second_order: bool = False
    first_pass_steps: int = 0

    @property
    def evaluations(self) -> int:
        return self.steps * (2 if self.second_order else 1)

    @property
    def evaluations_before(self) -> int:
        return self.first_pass_steps * (2 if self.second_order else 1)


class Encoded(NamedTuple):
    positive: Conditioning
    negative: Conditioning


def encode_prompts(memory: Memory, clip: Clip, positive: str, negative: str, timing: Timing, emphasis: Emphasis, words: Words) -> Encoded:
    """Encode two prompts whose networks, variants and wildcards are taken out already.

    Parts of the positive prompt that AND joins stand side by side with their weights as strengths. Guidance asks for
    U + sum w (C - U) in place of C; so the negative prompt stands beside them with the strength that is missing to a sum of 1.
    """
    avoided = _scheduled(memory, clip, negative, timing, emphasis, words)
    parts = split_and(positive)
    wanted = Conditioning(
        replace(condition, strength=part.weight)
        for part in parts
        if part.weight
        for condition in _scheduled(memory, clip, part.text, timing, emphasis, words)
    )
    rest = 1.0 - sum(part.weight for part in parts)
    if abs(rest) > 1e-6:
        wanted = wanted + avoided.with_each(strength=rest)
    return Encoded(wanted, avoided)


def _scheduled(memory: Memory, clip: Clip, text: str, timing: Timing, emphasis: Emphasis, words: Words) -> Conditioning:
    """A prompt as one condition for each text that it becomes, each with the evaluations of the network in which it counts."""
    found = stages(text, timing.evaluations, timing.evaluations_before)
    when = ranges(found)
    conditions = encode_texts(memory, clip, Counter(stage.text for stage in found), emphasis, words)
    if len(conditions) == 1:
        return Conditioning(conditions)
    return Conditioning(
        replace(condition, steps=StepRanges(timing.evaluations, tuple(own)))
        for condition, own in zip(conditions, when.values(), strict=True)
    )
