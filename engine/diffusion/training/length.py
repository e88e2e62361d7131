"""How many steps a plan comes to, whatever it counts in."""

from __future__ import annotations

import math

from engine.diffusion.training.batches import Batches
from engine.errors import InvalidInput
from engine.values.dataset import TrainingSet
from engine.values.training import Plan

MOST_STEPS = 10_000_000


def in_steps(plan: Plan, data: TrainingSet) -> Plan:
    """The plan with its lengths as optimizer steps. Epochs are those of the training set, whose last step may be a short one; pictures
    count each time they are seen. Raises InvalidInput for a length of more steps than there may be."""
    if plan.unit == "steps":
        return plan
    epoch = 0
    if plan.unit == "epochs":
        epoch = math.ceil(Batches(data, batch_size=plan.batch_size * plan.processes, seed=plan.seed).epoch_length / plan.accumulation)
    lengths = {name: _steps(getattr(plan, name), plan, epoch) for name in ("steps", "save_every", "validate_every")}
    if lengths["steps"] > MOST_STEPS:
        raise InvalidInput(
            f"{plan.steps} {plan.unit} are {lengths['steps']:,} steps; at most {MOST_STEPS:,} are trained.",
            hint="Train for a shorter time, or in larger batches.",
        )
    return plan.model_copy(update={**lengths, "unit": "steps"})


def _steps(length: int, plan: Plan, epoch: int) -> int:
    return length * epoch if plan.unit == "epochs" else math.ceil(length / (plan.batch_size * plan.accumulation * plan.processes))
