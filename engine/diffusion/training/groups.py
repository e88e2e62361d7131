"""At which rate each trained parameter moves."""

from __future__ import annotations

from torch import nn

from engine.diffusion.training.networks import Trained
from engine.diffusion.training.optimizers import Group
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.rules import Rules


def groups_of(adapted: dict[str, Trained], recipe: Recipe) -> list[Group]:
    """The trained parameters by learning rate."""
    optimizer = recipe.optimizer
    rules = Rules(optimizer.rates, "rates")
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for part, network in adapted.items():
        base = optimizer.rate if part == "unet" else optimizer.text_rate
        for slot in network.slots.values():
            own = rules.of(slot.path)
            factor = (1.0 if own is None else own) * (optimizer.up_rate if slot.role == "lora_B" else 1.0)
            groups.setdefault((part, base * factor), []).append(slot.parameter)
    rules.check_used()
    return [Group(part, parameters, rate) for (part, rate), parameters in groups.items()]
