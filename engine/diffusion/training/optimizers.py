"""Optimizers and learning-rate schedules by name, from lists: a workflow never names what is imported.

Optimizers are torch's and transformers', those of known packages when they are installed, and what installed packages offer under the
entry point group `easel.optimizers`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import torch
from diffusers.optimization import get_piecewise_constant_schedule
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import Adafactor, get_scheduler

from engine.errors import InvalidInput
from engine.values.training import Optimizer

GROUP = "easel.optimizers"

BUILT_IN: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": torch.optim.AdamW,
    "Adam": torch.optim.Adam,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "Adamax": torch.optim.Adamax,
    "RMSprop": torch.optim.RMSprop,
    "SGD": torch.optim.SGD,
    "Adafactor": Adafactor,
}
PACKAGES = {
    "AdamW8bit": ("bitsandbytes", "bitsandbytes.optim", "AdamW8bit"),
    "PagedAdamW8bit": ("bitsandbytes", "bitsandbytes.optim", "PagedAdamW8bit"),
    "Lion8bit": ("bitsandbytes", "bitsandbytes.optim", "Lion8bit"),
    "Lion": ("lion-pytorch", "lion_pytorch", "Lion"),
    "Prodigy": ("prodigyopt", "prodigyopt", "Prodigy"),
    **{name: ("dadaptation", "dadaptation", name) for name in ("DAdaptAdam", "DAdaptAdan", "DAdaptAdaGrad", "DAdaptLion", "DAdaptSGD")},
    "AdamWScheduleFree": ("schedulefree", "schedulefree", "AdamWScheduleFree"),
    "RAdamScheduleFree": ("schedulefree", "schedulefree", "RAdamScheduleFree"),
    "SGDScheduleFree": ("schedulefree", "schedulefree", "SGDScheduleFree"),
    "ProdigyPlusScheduleFree": ("prodigy-plus-schedule-free", "prodigyplus", "ProdigyPlusScheduleFree"),
}
"""Name -> (package to install, module, class)."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "Adafactor": {"scale_parameter": False, "relative_step": False, "warmup_init": False},
    "SGD": {"momentum": 0.9, "fused": True},
    "AdamW": {"fused": True},
    "Adam": {"fused": True},
}
"""Arguments without which an optimizer would ignore the learning rate or hardly move, or take a call for every operation on every small
matrix of an adapter."""
EQUAL_RATES = ("Prodigy", "ProdigyPlusScheduleFree", *(name for name in PACKAGES if name.startswith("DAdapt")))
SCHEDULE_FREE = ("AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree", "ProdigyPlusScheduleFree")
"""Optimizers that train at one place and average to another (Defazio et al. 2024), so that they need no schedule."""


@dataclass(frozen=True)
class Group:
    """Parameters with one learning rate. name: for the curve and for messages."""

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float


def optimizer_names() -> list[str]:
    """Every name that `build_optimizer` knows, installed or not."""
    return [*BUILT_IN, *PACKAGES, *(entry.name for entry in entry_points(group=GROUP))]


def build_optimizer(settings: Optimizer, groups: Sequence[Group]) -> torch.optim.Optimizer:
    """The optimizer over groups of parameters. Raises InvalidInput for an unknown name, a package that is missing, or a wrong option."""
    kind = _class_of(settings.name)
    options = {**DEFAULTS.get(settings.name, {}), **_options(settings, kind)}
    rates = {group.rate for group in groups}
    if settings.name in EQUAL_RATES and len(rates) > 1:
        raise InvalidInput(
            f"{settings.name} finds one learning rate for all and was given {', '.join(f'{rate:g}' for rate in sorted(rates))}.",
            hint="Give all parts the same rate, usually 1.",
        )
    if settings.name in SCHEDULE_FREE and (settings.schedule != "constant" or settings.ema):
        raise InvalidInput(
            f"{settings.name} needs no schedule and averages by itself.",
            hint="Set schedule to constant and ema to 0.",
        )
    named = [{"params": list(group.parameters), "lr": group.rate} for group in groups]
    try:
        optimizer: Any = kind(named, lr=max(rates), **options)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(f"{settings.name} does not take these options: {error}.", hint="Correct `options`.") from error
    if settings.name in SCHEDULE_FREE:
        optimizer.train()
    return optimizer


@contextmanager
def at_average(settings: Optimizer, optimizer: Any, parameters: Sequence[nn.Parameter]) -> Iterator[bool]:
    """Within, the parameters are what a schedule-free optimizer has averaged; whether it is one. Afterwards they are bit for bit as
    before, as its own way back rounds."""
    if settings.name not in SCHEDULE_FREE:
        yield False
        return
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()
    try:
        yield True
    finally:
        optimizer.train()
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)


def build_schedule(settings: Optimizer, optimizer: torch.optim.Optimizer, horizon: int) -> LambdaLR:
    """The schedule of learning rates over `horizon` optimizer steps. Raises InvalidInput for a setting that it does not read."""
    name = settings.schedule
    warmup = warmup_steps(settings, horizon)
    check_schedule(settings)
    if name == "piecewise_constant":
        return get_piecewise_constant_schedule(optimizer, settings.factors)
    special: dict[str, dict[str, Any]] = {
        "cosine_with_restarts": {"num_cycles": settings.cycles},
        "polynomial": {"power": settings.power, "lr_end": 0.0},
        "cosine_with_min_lr": {"min_lr_rate": settings.min_rate_share},
        "warmup_stable_decay": {"num_decay_steps": max(1, horizon // 5), "min_lr_ratio": settings.min_rate_share},
    }
    return get_scheduler(name, optimizer, warmup, horizon, special.get(name, {}))


def check_schedule(settings: Optimizer) -> None:
    """Raise InvalidInput for a setting that the schedule does not read."""
    read = {
        "cycles": ("cosine_with_restarts",),
        "power": ("polynomial",),
        "min_rate_share": ("cosine_with_min_lr", "warmup_stable_decay"),
        "factors": ("piecewise_constant",),
    }
    for field, schedules in read.items():
        value, default = getattr(settings, field), Optimizer.model_fields[field].default
        if value != default and settings.schedule not in schedules:
            raise InvalidInput(
                f"{field} = {value} has no effect on the schedule {settings.schedule}.", hint=f"It belongs to {' and '.join(schedules)}."
            )
    if settings.schedule in ("constant", "piecewise_constant") and settings.warmup:
        raise InvalidInput(
            f"The schedule {settings.schedule} has no warm-up, and warmup is {settings.warmup:g}.",
            hint="Set warmup to 0, or take constant_with_warmup.",
        )
    if settings.schedule == "piecewise_constant":
        _check_rules(settings.factors)


def warmup_steps(settings: Optimizer, horizon: int) -> int:
    """The warm-up in steps: below 1 it is a share of the horizon."""
    return round(settings.warmup * horizon) if settings.warmup < 1 else round(settings.warmup)


def needs_horizon(settings: Optimizer) -> bool:
    """Whether the rates depend on how long the training is meant to be."""
    timeless = settings.schedule in ("constant", "constant_with_warmup", "inverse_sqrt", "piecewise_constant")
    return not timeless or 0 < settings.warmup < 1 or settings.text_share < 1


def _check_rules(text: str) -> None:
    """`factor:step,...,factor` as diffusers reads it."""
    *parts, last = text.split(",")
    try:
        steps = [int(step) for _, step in (part.split(":") for part in parts)]
        factors = [float(factor) for factor, _ in (part.split(":") for part in parts)] + [float(last)]
        if not parts or steps != sorted(set(steps)) or min(factors) < 0:
            raise ValueError
    except ValueError as error:
        raise InvalidInput(
            f"factors = {text[:80]!r} are no rules for piecewise_constant.", hint="Write factor:until step, such as `1:500,0.1:800,0.01`."
        ) from error


def _class_of(name: str) -> Callable[..., torch.optim.Optimizer]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name in PACKAGES:
        package, module, cls = PACKAGES[name]
        try:
            return getattr(importlib.import_module(module), cls)
        except ImportError as error:
            raise InvalidInput(f"{name} needs the package {package}: {error}.", hint=f"Run `pip install {package}`.") from error
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    raise InvalidInput(f"There is no optimizer {name[:80]!r}.", hint=f"Choose one of {', '.join(optimizer_names())}.")


def _options(settings: Optimizer, kind: Callable[..., Any]) -> dict[str, Any]:
    """`name=value ...` as arguments; values are numbers, true, false, or numbers with commas."""
    signature = inspect.signature(kind).parameters
    known = [name for name in signature if name not in ("params", "lr", "self", "args", "kwargs")]
    options = {}
    for part in settings.options.split():
        name, equals, text = part.partition("=")
        if not equals or name not in known:
            raise InvalidInput(f"{settings.name} has no option {name[:40]!r}.", hint=f"It has {', '.join(known)}; write name=value.")
        options[name] = _value(name, text)
    return options


def _value(name: str, text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if "," in text:
            return tuple(float(part) for part in text.split(","))
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError as error:
        raise InvalidInput(f"{name} = {text[:40]!r} is no number.", hint="Write numbers, true or false; several with commas.") from error
