"""What steers a picture: encoded prompts, and where and when each of them counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from torch import Tensor

from engine.errors import Unstorable
from engine.graph import port


@dataclass(frozen=True)
class Area:
    """A rectangle of the latent: pixels of the latent, or fractions of its height and width if `fraction` is set."""

    height: float
    width: float
    y: float
    x: float
    fraction: bool = False


@dataclass(frozen=True)
class StepRanges:
    """Parts of a run by evaluations of the network: (first, last) of `total`, counted from 0, both included; a last one of `total` or
    more has no end.

    A run with another number of evaluations is divided in the same proportions.
    """

    total: int
    ranges: tuple[tuple[int, int], ...]

    def hold_at(self, evaluation: int, evaluations: int) -> bool:
        """evaluation: how many were made before this one, of about `evaluations` in the whole run."""
        place = min(evaluation * self.total // max(1, evaluations), self.total)
        return any(first <= place <= last for first, last in self.ranges)


@dataclass(frozen=True, eq=False)
class Condition:
    """One encoded prompt with its place, its time and its weight.

    context: [1, N, D], the token embeddings that cross-attention reads.
    pooled: [1, P], the whole prompt as one vector, for families that read one.
    strength: weight against the other conditions of the same side.
    area: the rectangle it is computed on, None for all of it.
    mask: [M, H, W] at any resolution, a weight per pixel, multiplied by mask_strength. mask_bounds: compute only the mask's bounding box.
    start_percent, end_percent: part of the denoising it counts in, 0 = all noise, 1 = no noise. steps: the same by steps, None for all.
    fill: counts only where the other conditions of its side leave weight free.
    extras: what only some families read (guidance, width, height, crop_w, ...), by name.
    control: what steers the network besides (a ControlNet), or None.
    """

    context: Tensor
    pooled: Tensor | None = None
    strength: float = 1.0
    area: Area | None = None
    mask: Tensor | None = None
    mask_strength: float = 1.0
    mask_bounds: bool = False
    start_percent: float = 0.0
    end_percent: float = 1.0
    steps: StepRanges | None = None
    fill: bool = False
    extras: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    control: Any = None


class ConditioningCodec:
    """Keeps everything but what steers the network besides: a condition with a ControlNet is made again."""

    def encode(self, value: Conditioning) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors: dict[str, Tensor] = {}
        records = [_encode(condition, f"{number}.", tensors) for number, condition in enumerate(value)]
        return tensors, {"conditions": records}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Conditioning:
        return Conditioning(_decode(record, f"{number}.", tensors) for number, record in enumerate(metadata["conditions"]))


def _encode(condition: Condition, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if condition.control is not None:
        raise Unstorable("A conditioning that holds a ControlNet is made again.")
    record = {name: getattr(condition, name) for name in PLAIN}
    record["area"] = None if condition.area is None else asdict(condition.area)
    record["steps"] = None if condition.steps is None else asdict(condition.steps)
    record["extras"] = {name: value for name, value in condition.extras.items() if isinstance(value, str | int | float | None)}
    own = {name: getattr(condition, name) for name in TENSORS}
    own |= {f"extras.{name}": value for name, value in condition.extras.items() if isinstance(value, Tensor)}
    kept = {name: value for name, value in own.items() if value is not None}
    if len(record["extras"]) + sum(name.startswith("extras.") for name in kept) < len(condition.extras):
        raise Unstorable("A conditioning that holds more than numbers, texts and tensors is made again.")
    tensors.update({prefix + name: value for name, value in kept.items()})
    return record


def _decode(record: Mapping[str, Any], prefix: str, tensors: Mapping[str, Tensor]) -> Condition:
    own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    extras = {**record["extras"], **{name[7:]: value for name, value in own.items() if name.startswith("extras.")}}
    fields: dict[str, Any] = {**{name: record[name] for name in PLAIN}, **{name: own.get(name) for name in TENSORS}}
    return Condition(
        **fields,
        area=None if record["area"] is None else Area(**record["area"]),
        steps=None if record["steps"] is None else StepRanges(record["steps"]["total"], tuple(map(tuple, record["steps"]["ranges"]))),
        extras=MappingProxyType(extras),
    )


PLAIN = ("strength", "mask_strength", "mask_bounds", "start_percent", "end_percent", "fill")
TENSORS = ("context", "pooled", "mask")


@port("CONDITIONING", color="#ffa931", codec=ConditioningCodec())
@dataclass(frozen=True, eq=False)
class Conditioning:
    """An immutable sequence of conditions; their predictions are averaged by weight."""

    conditions: tuple[Condition, ...] = ()

    def __init__(self, conditions: Iterable[Condition] = ()) -> None:
        object.__setattr__(self, "conditions", tuple(conditions))

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.conditions)

    def __len__(self) -> int:
        return len(self.conditions)

    def __getitem__(self, index: int) -> Condition:
        return self.conditions[index]

    def __add__(self, other: Conditioning) -> Conditioning:
        return Conditioning(self.conditions + other.conditions)

    def with_each(self, **changes: Any) -> Conditioning:
        """The same sequence with the named fields of every condition changed."""
        return Conditioning(replace(condition, **changes) for condition in self.conditions)
