"""Putting an optimizer, its schedule, loss scale and averages back to where a state left them.

A state is a file, which someone may have brought along or changed. So nothing of it is used that could not have come about here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from engine.diffusion.training.optimizers import BUILT_IN
from engine.diffusion.training.state import packed, refused, unpacked

SMALL_TABLE = 256
"""Numbers that an optimizer of a package may keep for a parameter of any size: a table of its 8-bit format."""


def form_of_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> Any:
    """What `resume_optimizer` takes, in the order of the parameters, whichever moved first. Its tensors go to `tensors`."""
    own = optimizer.state_dict()
    return packed({**own, "state": dict(sorted(own["state"].items()))}, tensors)


def resume_optimizer(optimizer: torch.optim.Optimizer, form: Any, tensors: Mapping[str, Tensor], name: str) -> None:
    """Put an optimizer back. name: by which settings call it. Raises InvalidInput for what it never leaves."""
    found, own = unpacked(form, tensors), optimizer.state_dict()
    check_like({**found, "state": {}} if isinstance(found, dict) else found, {**own, "state": {}}, "optimizer", strict=name in BUILT_IN)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, entry in _items(found["state"], "optimizer.state"):
        if not isinstance(number, int) or not 0 <= number < len(parameters):
            raise refused(f"its optimizer has something for a parameter {number!r:.40}, of {len(parameters)}")
        for key, value in _items(entry, f"optimizer.state.{number}"):
            _check_moment(value, parameters[number], f"optimizer.state.{number}.{key}", exact=name in BUILT_IN)
    optimizer.load_state_dict(found)


def set_schedule(schedule: LambdaLR, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Put a schedule and its optimizer's learning rates to a step, from which both follow."""
    rates = [base * factor(step) for base, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
    schedule.load_state_dict({**schedule.state_dict(), "last_epoch": step, "_step_count": step + 1, "_last_lr": rates})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def resume_scaler(scaler: torch.amp.GradScaler, form: Any) -> None:
    found = unpacked(form, {})
    check_like(found, scaler.state_dict(), "scaler")
    if found and not found["scale"] > 0:
        raise refused(f"its loss scale is {found['scale']:g}")
    scaler.load_state_dict(found)


def averages_of(stored: Mapping[str, Tensor], names: Sequence[str], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The averaged weights of a state in the order of the parameters, as they are."""
    found = []
    for name, parameter in zip(names, parameters, strict=True):
        value = stored.get(name)
        if value is None or value.numel() != parameter.numel() or not value.is_floating_point() or not value.isfinite().all():
            raise refused(f"its average of {name} is missing, of another size, or not finite")
        found.append(value.reshape(parameter.shape).to(parameter, copy=True))  # it is moved in place
    return found


def check_like(found: Any, own: Any, place: str, *, strict: bool = False) -> None:
    """Raise InvalidInput where a nest differs from one that came about here in anything but the values of its finite numbers.

    strict: nor in those, but for learning rates and what is empty here.
    """
    if isinstance(own, dict):
        if not isinstance(found, dict) or found.keys() != own.keys():
            raise refused(f"its {place} has other entries than here")
        for key, value in own.items():
            check_like(found[key], value, f"{place}.{key}", strict=strict and key != "lr")
    elif isinstance(own, list | tuple):
        if type(found) is not type(own) or len(found) != len(own):
            raise refused(f"its {place} is {found!r:.40}, here {own!r:.40}")
        for number, (one, other) in enumerate(zip(found, own, strict=True)):
            check_like(one, other, f"{place}.{number}", strict=strict)
    elif isinstance(own, int | float) and not isinstance(own, bool) and not strict:
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise refused(f"its {place} is {found!r:.40}, which is no finite number")
    elif type(found) is not type(own) or (strict and found != own):
        raise refused(f"its {place} is {found!r:.40}, here {own!r:.40}")


def _check_moment(value: Any, parameter: nn.Parameter, place: str, *, exact: bool) -> None:
    """What an optimizer remembers of a parameter: numbers, or tensors of its shape, some without one of the last two sides."""
    if not isinstance(value, Tensor):
        if value is not None and (not isinstance(value, int | float) or not math.isfinite(value)):
            raise refused(f"its {place} is {value!r:.40}")
        return
    shape = parameter.shape
    known = (shape, shape[:-1], shape[:-2] + shape[-1:])
    if value.numel() > 1 and (value.shape not in known if exact else value.numel() > max(parameter.numel(), SMALL_TABLE)):
        raise refused(f"its {place} has shape {list(value.shape)}, the parameter {list(shape)}")
    if value.is_complex() or not value.isfinite().all():
        raise refused(f"its {place} holds numbers that are not finite")


def _items(value: Any, place: str) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise refused(f"its {place} is {value!r:.40}")
    return list(value.items())
