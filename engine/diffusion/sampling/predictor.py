"""Calls of the network: every condition that counts at a level, in as few calls as fit, averaged per side.

What does not change from step to step (which conditions share a call, their concatenated contexts, their weights) is worked out
once for each set of conditions that count together, and kept for the run.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.sampling.conditions import BEGINNING, Placed, Position, place, repeat_to
from engine.diffusion.sampling.inside import Changes, Evaluation, Inside, Row
from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.diffusion.sampling.reuse import Change
from engine.values.conditioning import Conditioning

Sides = tuple[tuple[Placed, ...], ...]

MOST_REPEATS = 4
"""A context is repeated at most this often to share a call with a longer one."""

SPATIAL = "concat"
"""The extra input that lies on the latent's pixels and is cropped with an area."""


@dataclass(frozen=True, eq=False)
class Call:
    """Conditions that share one call of the network, with everything but x and the timestep already joined.

    rows: what each row of the batch is for.
    """

    conditions: tuple[Placed, ...]
    rows: tuple[Row, ...]
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
    """Denoised predictions of a model, for the conditions of one run. memory: of the run, for changes inside the network."""

    def __init__(self, model: DiffusionModel, start: Start, memory: dict[Any, Any] | None = None) -> None:
        self._model, self._start = model, start
        self._memory = {} if memory is None else memory
        self._plans: dict[tuple[Sides, bool], Plan] = {}
        self._placed: dict[Conditioning, tuple[Placed, ...]] = {}
        reuse = model.options.reuse
        self._change = Change(reuse, model.prediction) if reuse and not reuse.guided else None
        self._moves: dict[Call, Tensor] = {}

    def place(self, sides: Sequence[Conditioning]) -> Sides:
        """The sides of the run, in their place."""
        placed = tuple(place(sides, self._model, self._start))
        self._placed.update(zip(sides, placed, strict=True))
        return placed

    @torch.no_grad()
    def of(
        self, conditioning: Conditioning, x: Tensor, sigma: Tensor, position: Position = BEGINNING, inside: Sequence[Inside] = ()
    ) -> Tensor:
        """The denoised prediction for one side of the run or a further conditioning, as guidance methods ask for besides.

        inside: changes inside the network for this prediction only.
        """
        if conditioning not in self._placed:
            self.place([conditioning])
        active = _active((self._placed[conditioning],), sigma, position)
        plan = self._plan(active, x, further=True)
        outputs = {call: self._output(call, self._inputs(call, x, sigma), sigma, inside) for call in plan.calls}
        return self._predictions(active, plan, outputs, x, sigma)[0]

    @torch.no_grad()
    def __call__(self, sides: Sides, x: Tensor, sigma: Tensor, position: Position = BEGINNING) -> list[Tensor]:
        """One denoised prediction [B, C, h, w] for each side; zeros where no condition of a side counts."""
        active = _active(sides, sigma, position)
        plan = self._plan(active, x)
        inputs = {call: self._inputs(call, x, sigma) for call in plan.calls}
        outputs = self._reused(inputs, sigma)
        if outputs is None:
            outputs = {call: self._output(call, given, sigma) for call, given in inputs.items()}
            self._learn(inputs, outputs)
        return self._predictions(active, plan, outputs, x, sigma)

    def _inputs(self, call: Call, x: Tensor, sigma: Tensor) -> Tensor:
        scaled = self._model.prediction.scale_input(x, sigma).to(self._model.dtype)
        return _join([condition.crop(scaled) for condition in call.conditions])

    def _output(self, call: Call, inputs: Tensor, sigma: Tensor, inside: Sequence[Inside] = ()) -> Tensor:
        timesteps = torch.full((len(inputs),), float(self._model.prediction.timestep(sigma)), device=inputs.device)
        hooks = (*inside, *self._model.options.inside)
        if not hooks:
            return self._model.network(inputs, timesteps, call.context, **call.extras).float()
        evaluation = Evaluation(sigma, call.rows, inputs.shape[-2], inputs.shape[-1], self._model.prediction, self._memory)
        return self._model.network(inputs, timesteps, call.context, changes=Changes(hooks, evaluation), **call.extras).float()

    def _reused(self, inputs: Mapping[Call, Tensor], sigma: Tensor) -> dict[Call, Tensor] | None:
        """Outputs foretold from the last ones, if the change since then is small enough."""
        if self._change is None or not all(call in self._moves for call in inputs):
            return None
        if not self._change.is_small(next(iter(inputs.values())), sigma):
            return None
        return {call: given.float() + self._moves[call] for call, given in inputs.items()}

    def _learn(self, inputs: Mapping[Call, Tensor], outputs: Mapping[Call, Tensor]) -> None:
        if self._change is None or not inputs:
            return
        first = next(iter(inputs))
        self._change.learn(inputs[first], outputs[first])
        self._moves.update({call: outputs[call] - given.float() for call, given in inputs.items()})

    def _predictions(self, active: Sides, plan: Plan, outputs: Mapping[Call, Tensor], x: Tensor, sigma: Tensor) -> list[Tensor]:
        denoised: dict[Placed, Tensor] = {}
        for call, output in outputs.items():
            for condition, part in zip(call.conditions, output.chunk(len(call.conditions)), strict=True):
                denoised[condition] = self._model.prediction.denoised(part, condition.crop(x), sigma)
        denoised.update({twin: denoised[computed] for twin, computed in plan.twins.items()})
        return [_mean(side, denoised, plan.shares, x) for side in active]

    def _plan(self, active: Sides, x: Tensor, *, further: bool = False) -> Plan:
        """further: not for the sides of the run, but for one that is evaluated besides."""
        key = (active, further)
        if key in self._plans:
            return self._plans[key]
        batch = len(x)
        sides = {condition: number for number, side in enumerate(active) for condition in side}
        computed = {self._seen(condition, sides): condition for condition in reversed(sides)}
        twins = {condition: computed[self._seen(condition, sides)] for condition in sides}
        waiting = [condition for condition in sides if twins[condition] is condition]
        calls = []
        while waiting:
            chosen = self._next_call(waiting, x)
            waiting = [condition for condition in waiting if condition not in chosen]
            rows = tuple(
                Row(None if further else sides[condition], image, condition.area is None) for condition in chosen for image in range(batch)
            )
            calls.append(Call(chosen, rows, _contexts(chosen, batch), _extras(chosen, batch)))
        shares = {condition: share for side in active for condition, share in _shares(side, x).items()}
        twins = {condition: twin for condition, twin in twins.items() if twin is not condition}
        plan = self._plans[key] = Plan(tuple(calls), shares, twins)
        return plan

    def _seen(self, condition: Placed, sides: Mapping[Placed, int]) -> Hashable:
        """Equal for conditions that the network gives the same for. Changes inside it may tell the sides apart."""
        return condition.seen, sides[condition] if self._model.options.inside else None

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


def _active(sides: Sides, sigma: Tensor, position: Position) -> Sides:
    """The conditions that count at a level and step."""
    level = float(sigma)
    return tuple(tuple(condition for condition in side if condition.counts_at(level, position)) for side in sides)


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
