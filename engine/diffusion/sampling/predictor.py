"""Calls of the network: every condition that counts at a level, in as few calls as fit, averaged per side.

What does not change from step to step (which conditions share a call, their concatenated contexts, their weights) is worked out
once for each set of conditions that count together, and kept for the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.diffusion.sampling.conditions import BEGINNING, Placed, Position, place, repeat_to
from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.values.conditioning import Conditioning

Sides = tuple[tuple[Placed, ...], ...]

MOST_REPEATS = 4
"""A context is repeated at most this often to share a call with a longer one."""

SPATIAL = "concat"
"""The extra input that lies on the latent's pixels and is cropped with an area."""


@dataclass(frozen=True, eq=False)
class Call:
    """Conditions that share one call of the network, with everything but x and the timestep already joined."""

    conditions: tuple[Placed, ...]
    context: Tensor
    extras: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Plan:
    """The calls for one set of conditions, and each condition's share of its side's mean.

    twins: conditions that the network sees no difference in, each with the one that is computed for it.
    """

    calls: tuple[Call, ...]
    shares: Mapping[Placed, float | Tensor]
    twins: Mapping[Placed, Placed]


class Predictor:
    """Denoised predictions of a model, for the conditions of one run."""

    def __init__(self, model: DiffusionModel, start: Start) -> None:
        self._model, self._start = model, start
        self._plans: dict[Sides, Plan] = {}
        self._single: dict[Conditioning, tuple[Placed, ...]] = {}

    def place(self, sides: Sequence[Conditioning]) -> Sides:
        return tuple(place(sides, self._model, self._start))

    def of(self, conditioning: Conditioning, x: Tensor, sigma: Tensor, position: Position = BEGINNING) -> Tensor:
        """The denoised prediction for one further conditioning, as guidance methods ask for beside the two sides."""
        if conditioning not in self._single:
            (self._single[conditioning],) = self.place([conditioning])
        return self((self._single[conditioning],), x, sigma, position)[0]

    @torch.no_grad()
    def __call__(self, sides: Sides, x: Tensor, sigma: Tensor, position: Position = BEGINNING) -> list[Tensor]:
        """One denoised prediction [B, C, h, w] for each side; zeros where no condition of a side counts."""
        level = float(sigma)
        active = tuple(tuple(condition for condition in side if condition.counts_at(level, position)) for side in sides)
        plan = self._plans.get(active) or self._new_plan(active, x)
        prediction = self._model.prediction
        scaled = prediction.scale_input(x, sigma).to(self._model.dtype)
        timestep = float(prediction.timestep(sigma))
        denoised: dict[Placed, Tensor] = {}
        for call in plan.calls:
            inputs = _join([condition.crop(scaled) for condition in call.conditions])
            timesteps = torch.full((len(inputs),), timestep, device=x.device)
            output = self._model.network(inputs, timesteps, call.context, **call.extras).float()
            for condition, part in zip(call.conditions, output.chunk(len(call.conditions)), strict=True):
                denoised[condition] = prediction.denoised(part, condition.crop(x), sigma)
        denoised.update({twin: denoised[computed] for twin, computed in plan.twins.items()})
        return [_mean(side, denoised, plan.shares, x) for side in active]

    def _new_plan(self, active: Sides, x: Tensor) -> Plan:
        batch = len(x)
        conditions = [condition for side in active for condition in side]
        computed = {condition.seen: condition for condition in reversed(conditions)}
        waiting = [condition for condition in conditions if computed[condition.seen] is condition]
        twins = {condition: computed[condition.seen] for condition in conditions if computed[condition.seen] is not condition}
        calls = []
        while waiting:
            chosen = self._next_call(waiting, x)
            waiting = [condition for condition in waiting if condition not in chosen]
            calls.append(Call(chosen, _contexts(chosen, batch), _extras(chosen, batch)))
        shares = {condition: share for side in active for condition, share in _shares(side, x).items()}
        plan = self._plans[active] = Plan(tuple(calls), shares, twins)
        return plan

    def _next_call(self, waiting: Sequence[Placed], x: Tensor) -> tuple[Placed, ...]:
        """The conditions that may share a call with the first, last ones in front, as many as fit."""
        first = waiting[0]
        alike = [condition for condition in reversed(waiting) if condition is first or self._compatible(condition, first, x)]
        crop = first.crop(x).shape
        for parts in range(1, len(alike) + 1):
            count = len(alike) // parts
            if count <= 1 or self._model.fits(torch.Size((count * crop[0], *crop[1:]))):
                return tuple(alike[:count])
        return tuple(alike[:1])

    def _compatible(self, one: Placed, other: Placed, x: Tensor) -> bool:
        return (
            one.crop(x).shape == other.crop(x).shape
            and one.control is other.control
            and self._joinable(one.context, other.context)
            and {name: extra.shape[1:] for name, extra in one.extras.items()}
            == {name: extra.shape[1:] for name, extra in other.extras.items()}
        )

    def _joinable(self, one: Tensor, other: Tensor) -> bool:
        if one.shape[2:] != other.shape[2:]:
            return False
        shorter, longer = sorted((one.shape[1], other.shape[1]))
        return shorter == longer or (self._model.repeat_context and math.lcm(shorter, longer) // shorter <= MOST_REPEATS)


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _contexts(conditions: Sequence[Placed], batch: int) -> Tensor:
    """Contexts [n B, N, D], shorter ones repeated along their tokens, which leaves softmax attention as it is."""
    length = math.lcm(*(condition.context.shape[1] for condition in conditions))
    return _join([repeat_to(c.context, batch).repeat(1, length // c.context.shape[1], 1) for c in conditions])


def _extras(conditions: Sequence[Placed], batch: int) -> dict[str, Tensor]:
    def one(condition: Placed, name: str) -> Tensor:
        tensor = repeat_to(condition.extras[name], batch)
        return condition.crop(tensor) if name == SPATIAL else tensor

    return {name: _join([one(condition, name) for condition in conditions]) for name in conditions[0].extras}


def _shares(side: Sequence[Placed], x: Tensor) -> dict[Placed, float | Tensor]:
    """Each condition's weight divided by the sum of weights at every pixel; nothing where no condition reaches."""
    if all(isinstance(condition.weight, float | int) and condition.area is None and not condition.fill for condition in side):
        total = 1e-37 + sum(float(condition.weight) for condition in side)
        return {condition: condition.weight / total for condition in side}
    weights = {condition: _spread(condition, x) for condition in side}
    taken = sum((weight for condition, weight in weights.items() if not condition.fill), torch.zeros_like(x[:, :1]))
    weights = {condition: weight * (1 - taken).relu() if condition.fill else weight for condition, weight in weights.items()}
    covered = sum(weights.values(), torch.full_like(x[:, :1], 1e-37))
    return {condition: condition.crop(weight / covered) for condition, weight in weights.items()}


def _spread(condition: Placed, x: Tensor) -> Tensor:
    """A condition's weight over the whole latent [B, 1, h, w], zero outside its area."""
    weight = torch.zeros_like(x[:, :1])
    condition.crop(weight).copy_(torch.as_tensor(condition.weight, dtype=x.dtype, device=x.device).expand_as(condition.crop(weight)))
    return weight


def _mean(side: Sequence[Placed], denoised: Mapping[Placed, Tensor], shares: Mapping[Placed, float | Tensor], x: Tensor) -> Tensor:
    if len(side) == 1 and isinstance(shares[side[0]], float) and shares[side[0]] == 1.0:
        return denoised[side[0]]
    mean = torch.zeros_like(x)
    for condition in side:
        condition.crop(mean).add_(denoised[condition] * shares[condition])
    return mean
