"""SA-Solver's weights against numerical integration, its simple ones against the exact ones, and its predictor alone."""

import itertools

import pytest
import torch

from engine.diffusion.sampling.samplers.sa_solver import exact_weights, simple_weights


def integrated(nodes: torch.Tensor, ends: torch.Tensor, strength: float) -> torch.Tensor:
    """(1 + tau^2) times the integral of exp(-(1 + tau^2)(end - t)) l_k(t), by the midpoint rule."""
    rate, count = 1 + strength**2, 200_000
    t = ends[0] + (ends[1] - ends[0]) * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    weight = rate * torch.exp(-rate * (ends[1] - t)) * (ends[1] - ends[0]) / count
    basis = []
    for k, node in enumerate(nodes):
        others = [other for j, other in enumerate(nodes) if j != k]
        basis.append(torch.stack([(t - other) / (node - other) for other in others]).prod(dim=0))
    return torch.stack([(weight * one).sum() for one in basis])


@pytest.mark.parametrize("strength", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("nodes", [(-0.5, 0.0), (-0.9, -0.4, 0.0), (0.0, 0.6)])
def test_exact_weights_are_the_integrals(nodes, strength):
    nodes, ends = torch.tensor(nodes, dtype=torch.float64), torch.tensor([0.0, 0.6], dtype=torch.float64)
    torch.testing.assert_close(exact_weights(nodes, ends, strength), integrated(nodes, ends, strength), atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("corrects", [False, True])
def test_simple_weights_differ_in_the_next_order_only(corrects):
    """Halving the step divides the difference by about the power of h that the leading terms leave out."""
    errors = []
    for h in (0.2, 0.1, 0.05):
        ends = torch.tensor([0.0, h], dtype=torch.float64)
        nodes = torch.tensor([0.0, h] if corrects else [-h, 0.0], dtype=torch.float64)
        errors.append((simple_weights(nodes, ends, 0.6) - exact_weights(nodes, ends, 0.6)).abs().max().item())
    assert simple_weights(nodes, ends, 0.6).sum() == pytest.approx(exact_weights(nodes, ends, 0.6).sum())
    for wide, narrow in itertools.pairwise(errors):
        assert 3.5 < wide / narrow < 9
