"""Muon (Jordan et al. 2024): momentum, made orthogonal, for the matrices of a network; AdamW for the rest."""

from __future__ import annotations

import torch
from torch import nn

from tools.tiny_shapes.parallel import Team

MOMENTUM = 0.95
NEWTON_SCHULZ = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest matrices with singular values near 1, for a stack [n, rows, columns]; five steps of Newton and Schulz.

    Every step is a polynomial of x @ x.T times x, so the polynomials are multiplied in the small square and x is touched twice only.
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    square = x @ x.mT
    unit = torch.eye(x.shape[1])
    product = unit.expand_as(square)
    for a, b, c in NEWTON_SCHULZ:
        factor = a * unit + (b * unit + c * square) @ square
        product = factor @ product
        square = factor @ square @ factor
    out = product @ x
    return out if wide else out.mT


class Muon(torch.optim.Optimizer):
    """For weights of two and more dimensions, flattened to matrices. Each process of the team makes its part of them orthogonal."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, team: Team, decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr})
        self._team, self._decay = team, decay
        shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
        for parameter in parameters:
            shapes.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
        parts = [(shape, some[first :: team.size]) for shape, some in shapes.items() for first in range(team.size)]
        # the part of every process, about equally costly
        self._mine = [(shape, part) for i, (shape, part) in enumerate(parts) if i % team.size == team.rank and part]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        (group,) = self.param_groups
        parameters = group["params"]
        momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in parameters]
        gradients = [p.grad for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        ahead = dict(zip(parameters, torch._foreach_lerp(gradients, momenta, MOMENTUM), strict=True))
        changes = {parameter: torch.zeros_like(parameter) for parameter in parameters}
        for (rows, columns), part in self._mine:
            made = orthogonal(torch.stack([ahead[parameter].reshape(rows, columns) for parameter in part]))
            for parameter, change in zip(part, made, strict=True):
                changes[parameter] = change.reshape(parameter.shape) * (self._team.size * max(1.0, rows / columns) ** 0.5)
        self._team.average(list(changes.values()))
        torch._foreach_mul_(parameters, 1 - group["lr"] * self._decay)
        torch._foreach_add_(parameters, list(changes.values()), alpha=-group["lr"])
