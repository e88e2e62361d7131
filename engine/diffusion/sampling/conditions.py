"""Conditions put in their place: resolved areas, masks at latent size, sigma ranges, tensors on the device."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.errors import InvalidInput
from engine.values.conditioning import Area, Condition, Conditioning, StepRanges

FEATHER = 8
"""Rows of the latent over which the edge of an area fades."""

Rectangle = tuple[int, int, int, int]
"""height, width, y, x in pixels of the latent."""


class Position(NamedTuple):
    """How many evaluations of the network a run has made before this one, of about how many in all."""

    evaluation: int
    evaluations: int

    def next(self) -> Position:
        return Position(self.evaluation + 1, self.evaluations)


BEGINNING = Position(0, 1)


@dataclass(frozen=True, eq=False)
class Placed:
    """A condition ready for a run of one latent size.

    context: [1 or B, N, D] in the network's dtype. weight: a number, or [1 or B, 1, h, w] over its area.
    It counts at levels sigma_start >= sigma >= sigma_end, and in the steps. area: None for all of the latent; may reach over its edge.
    """

    context: Tensor
    extras: Mapping[str, Tensor] = field(repr=False)
    area: Rectangle | None
    weight: float | Tensor
    sigma_start: float
    sigma_end: float
    steps: StepRanges | None
    fill: bool
    control: object

    def counts_at(self, sigma: float, position: Position = BEGINNING) -> bool:
        in_step = self.steps is None or self.steps.hold_at(*position)
        return in_step and self.sigma_end <= sigma <= self.sigma_start

    @property
    def seen(self) -> Hashable:
        """Equal for conditions that the network sees no difference in."""
        return id(self.context), tuple((name, id(tensor)) for name, tensor in self.extras.items()), self.area, id(self.control)

    def crop(self, x: Tensor) -> Tensor:
        """The part of a tensor [.., h, w] that the condition is computed on."""
        if self.area is None:
            return x
        height, width, top, left = self.area
        return x[..., top : top + height, left : left + width]


def place(sides: Sequence[Conditioning], model: DiffusionModel, start: Start) -> list[tuple[Placed, ...]]:
    """The conditions of every side, and for each area its counterpart on the other sides.

    Guidance subtracts the sides pixel by pixel, so what a side computes on a crop the other must compute on the same crop too.
    """
    contexts = {id(c.context): c.context.to(start.latent.device, model.dtype) for side in sides for c in side}
    placed = [[_place(condition, contexts[id(condition.context)], model, start) for condition in side] for side in sides]
    for side, own in enumerate(placed):
        for condition in list(own):
            for other_side, others in enumerate(placed):
                if other_side != side:
                    others.extend(_counterpart(condition, others))
    return [tuple(side) for side in placed]


def _place(condition: Condition, context: Tensor, model: DiffusionModel, start: Start) -> Placed:
    size = (start.latent.shape[-2], start.latent.shape[-1])
    mask = None if condition.mask is None else _fit_mask(condition.mask.to(start.latent.device, torch.float32), size, len(start.latent))
    area = _resolve(condition.area, size)
    if mask is not None and condition.mask_bounds:
        area = _bounds(mask)
    return Placed(
        context=context,
        extras=model.inputs(condition, start),
        area=area,
        weight=_weight(condition, area, mask, start.latent),
        sigma_start=model.prediction.percent_to_sigma(condition.start_percent),
        sigma_end=model.prediction.percent_to_sigma(condition.end_percent),
        steps=condition.steps,
        fill=condition.fill,
        control=condition.control,
    )


def _resolve(area: Area | None, size: tuple[int, int]) -> Rectangle | None:
    if area is None:
        return None
    if area.fraction:
        height, width = max(1, round(area.height * size[0])), max(1, round(area.width * size[1]))
        top, left = round(area.y * size[0]), round(area.x * size[1])
    else:
        height, width, top, left = int(area.height), int(area.width), int(area.y), int(area.x)
    if top < 0 or left < 0 or top >= size[0] or left >= size[1] or height < 1 or width < 1:
        raise InvalidInput(
            f"An area of {height}x{width} at row {top}, column {left} lies outside the latent of {size[0]}x{size[1]}.",
            hint="Areas are in pixels of the latent, an eighth of the picture's; move or shrink the area, or make the picture larger.",
        )
    return height, width, top, left


def _bounds(mask: Tensor) -> Rectangle:
    """The rectangle around everything that is not zero in [M, 1, h, w], at least 8 x 8."""
    rows, columns = mask.abs().amax(dim=(0, 1)).nonzero(as_tuple=True)
    if not len(rows):
        return 8, 8, 0, 0
    top, left = int(rows.min()), int(columns.min())
    return max(8, int(rows.max()) - top + 1), max(8, int(columns.max()) - left + 1), top, left


def _fit_mask(mask: Tensor, size: tuple[int, int], batch: int) -> Tensor:
    """[M, H, W] to [M or B, 1, h, w]."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    if tuple(mask.shape[-2:]) != size:
        mask = interpolate(mask, size=size, mode="bilinear")
    return mask if len(mask) == 1 else repeat_to(mask, batch)


def _weight(condition: Condition, area: Rectangle | None, mask: Tensor | None, latent: Tensor) -> float | Tensor:
    if mask is not None:
        if area is not None:
            height, width, top, left = area
            mask = mask[..., top : top + height, left : left + width]
        return mask * (condition.mask_strength * condition.strength)
    if area is None:
        return condition.strength
    return _feathered(area, (latent.shape[-2], latent.shape[-1])).to(latent.device) * condition.strength


def _feathered(area: Rectangle, size: tuple[int, int]) -> Tensor:
    """Ones [1, 1, h, w] that fade over at most 8 rows at every edge that is not an edge of the latent."""
    top, left = area[2:]
    height, width = min(area[0], size[0] - top), min(area[1], size[1] - left)
    rows = _ramp(height, fade_in=top != 0, fade_out=top + height < size[0])
    columns = _ramp(width, fade_in=left != 0, fade_out=left + width < size[1])
    return (rows[:, None] * columns[None, :])[None, None]


def _ramp(length: int, *, fade_in: bool, fade_out: bool) -> Tensor:
    ramp = torch.ones(length)
    reach = min(FEATHER, length // 4)
    rise = torch.arange(1, reach + 1) / max(reach, 1)
    if fade_in:
        ramp[:reach] *= rise
    if fade_out:
        ramp[length - reach :] *= rise.flip(0)
    return ramp


def _counterpart(condition: Placed, others: Sequence[Placed]) -> list[Placed]:
    """The condition's area, weight and range with the prompt of the smallest of the others that encloses it; none if one has it already.

    A prompt that changes from step to step is several conditions there, and so are its counterparts.
    """
    if condition.area is None:
        return []
    enclosing = [other for other in others if other.area is None or _encloses(other.area, condition.area)]
    with_area = [other for other in enclosing if other.area is not None]
    if not enclosing:
        return []
    smallest = min(with_area, key=lambda other: other.area[0] * other.area[1] if other.area else 0) if with_area else enclosing[0]
    if smallest.area == condition.area:
        return []
    alike = [other for other in enclosing if other.area == smallest.area] if smallest.steps else [smallest]
    return [replace(condition, context=other.context, extras=other.extras, steps=other.steps or condition.steps) for other in alike]


def _encloses(outer: Rectangle, inner: Rectangle) -> bool:
    return (
        inner[2] >= outer[2]
        and inner[3] >= outer[3]
        and outer[0] + outer[2] >= inner[0] + inner[2]
        and outer[1] + outer[3] >= inner[1] + inner[3]
    )


def repeat_to(tensor: Tensor, batch: int) -> Tensor:
    """A tensor whose first dimension is cut or cyclically repeated to `batch`."""
    if len(tensor) == batch:
        return tensor
    if len(tensor) > batch:
        return tensor[:batch]
    return tensor.repeat(-(-batch // len(tensor)), *[1] * (tensor.ndim - 1))[:batch]
