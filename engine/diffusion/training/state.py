"""What is kept between two steps, as tensors and JSON. Nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import ValidationError
from torch import Tensor

from engine.diffusion.training.recipe import Recipe
from engine.errors import InvalidInput
from engine.values.training import TrainingState

SAME_RESULT = {"fused_backward", "swap"}
"""Settings with which a training comes to the same."""


def packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A nest of dicts, lists and numbers as JSON; tensors in it go to `tensors` under a number.

    Raises InvalidInput for anything else in it.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_key(key), packed(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [packed(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidInput(f"The state of this optimizer holds a {type(value).__name__}, which cannot be kept.", hint="Use another optimizer.")


def _key(key: Any) -> Any:
    if isinstance(key, int | str):
        return key
    raise InvalidInput(f"The state of this optimizer is ordered by a {type(key).__name__}, which cannot be kept.", hint="Use another.")


def unpacked(form: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `packed` was given, with copies of the tensors. Raises InvalidInput for what it never gave."""
    try:
        return _unpacked(form, tensors)
    except (KeyError, ValueError, TypeError) as error:
        raise refused(f"a part of it cannot be read: {type(error).__name__}: {error}") from error


def _unpacked(form: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(form, dict):
        return form
    ((kind, content),) = form.items()
    if kind == "tensor":
        return tensors[content].clone()
    if kind == "dict":
        return {key: _unpacked(item, tensors) for key, item in content}
    items = [_unpacked(item, tensors) for item in content]
    return {"list": list, "tuple": tuple}[kind](items)


def refused(why: str) -> InvalidInput:
    """The error for a state that no training here left so."""
    return InvalidInput(
        f"The state cannot be continued: {why}.", hint="It is damaged, or was made otherwise. Start from its LoRA instead, or anew."
    )


def made_with(state: TrainingState) -> Recipe:
    """The settings of a state. What was no setting yet when it was made was as it is by default. Raises InvalidInput for what is none."""
    try:
        return Recipe.model_validate(state.record["recipe"])
    except ValidationError as error:
        fault = error.errors()[0]
        raise refused(f"its setting {'.'.join(map(str, fault['loc']))} is {fault['input']!r:.40}: {fault['msg']}") from error


def check_same(state: TrainingState, recipe: Recipe) -> None:
    """Raise InvalidInput for a state of other settings, naming one; those of SAME_RESULT may change."""
    before, now = (settings.model_dump(mode="json", exclude=SAME_RESULT) for settings in (made_with(state), recipe))
    name = next((name for name in now if before[name] != now[name]), None)
    if name is None:
        return
    old, new = before[name], now[name]
    if isinstance(new, dict) and isinstance(old, dict):
        inner = next(key for key in new if old[key] != new[key])
        name, old, new = f"{name}.{inner}", old[inner], new[inner]
    raise InvalidInput(
        f"The state was made with {name} = {old}, this training has {new}.",
        hint="Continue with the same settings, or start from its LoRA instead of its state.",
    )


class Keep(Protocol):
    """Where a segment that is interrupted leaves its state. finish: it is asked to end early with what it has."""

    @property
    def finish(self) -> bool: ...

    def load(self) -> TrainingState | None: ...

    def save(self, state: TrainingState) -> None: ...
