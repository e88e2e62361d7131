from typing import Any

from engine.diffusion.training.recipe import Recipe, recipe_of
from engine.values.training import Adapter, Objective, Optimizer, Plan


def recipe(adapter: Adapter | None = None, objective: Objective | None = None, optimizer: Optimizer | None = None, **plan: Any) -> Recipe:
    """Small and quick, with what a test changes."""
    return recipe_of(
        adapter or Adapter(rank=4, alpha=4),
        objective or Objective(),
        optimizer or Optimizer(rate=1e-3),
        Plan(**{"steps": 10, "batch_size": 1, **plan}),
    )
