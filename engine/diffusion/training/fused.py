"""Steps of an optimizer within the backward pass, so that at no time there is more than one gradient (Lv et al. 2023, "LOMO")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion.training.optimizers import BUILT_IN
from engine.errors import InvalidInput
from engine.values.training import Optimizer, Plan


def check_fused(optimizer: Optimizer, plan: Plan) -> None:
    """Raise InvalidInput for settings that need all gradients of a step together."""
    reasons = {
        f"accumulation = {plan.accumulation}": (plan.accumulation > 1, "Set accumulation to 1."),
        f"processes = {plan.processes}": (plan.processes > 1, "Set processes to 1."),
        f"max_grad_norm = {optimizer.max_grad_norm:g}": (optimizer.max_grad_norm > 0, "Set max_grad_norm to 0."),
        f"the optimizer {optimizer.name}": (optimizer.name not in BUILT_IN, f"Choose one of {', '.join(BUILT_IN)}."),
    }
    for name, (found, hint) in reasons.items():
        if found:
            raise InvalidInput(f"fused_backward does not go with {name}, which may need all gradients of a step together.", hint=hint)


@contextmanager
def stepping(optimizer: Any, begin: Callable[[], None]) -> Iterator[list[Tensor]]:
    """Within, a backward pass moves each parameter as soon as its gradient is complete, and drops the gradient.

    begin: called before each move. What is given grows by the norm of each gradient. The optimizer must treat each parameter by itself.
    """
    norms: list[Tensor] = []

    def hook(group: dict[str, Any]) -> Callable[[Tensor], None]:
        def move(parameter: Tensor) -> None:
            begin()
            norms.append(torch.linalg.vector_norm(parameter.grad))
            _step(optimizer, group, parameter)
            parameter.grad = None

        return move

    parameters: list[tuple[dict[str, Any], nn.Parameter]] = [(group, one) for group in optimizer.param_groups for one in group["params"]]
    handles = [one.register_post_accumulate_grad_hook(hook(group)) for group, one in parameters]
    try:
        yield norms
    finally:
        for handle in handles:
            handle.remove()


def _step(optimizer: Any, group: dict[str, Any], parameter: Tensor) -> None:
    """One step of the optimizer as if it had this parameter alone."""
    groups, parameters = optimizer.param_groups, group["params"]
    optimizer.param_groups, group["params"] = [group], [parameter]
    try:
        optimizer.step()
    finally:
        optimizer.param_groups, group["params"] = groups, parameters
