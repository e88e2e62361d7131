"""What tiny-shapes is trained with: pictures of anything, and Muon in several processes."""

from __future__ import annotations

from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import nn

from tools.tiny_shapes.muon import Muon, orthogonal
from tools.tiny_shapes.odd_pictures import LEAST_CONTRAST, odd_picture
from tools.tiny_shapes.parallel import Team, run_team


def alone() -> Team:
    return Team(0, torch.zeros(1, 1000), get_context("spawn").Barrier(1))


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (12, 12)])
def test_orthogonal_keeps_the_directions_and_makes_their_strengths_equal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    made = orthogonal(matrices)
    strengths = torch.linalg.svdvals(made)
    assert strengths.max() < 1.2
    along = torch.einsum("nij,nij->n", made, u @ vt) / (u @ vt).square().sum((1, 2))
    assert (along > 0.9).all()


def _learn(team: Team, results: list[torch.Tensor]) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(6, 10, bias=False), nn.Linear(10, 10, bias=False), nn.Linear(10, 3, bias=False))
    wanted, given = torch.randn(3, 6), torch.randn(64, 6)
    muon = Muon(list(layers.parameters()), 0.05, team)
    for _ in range(60):
        loss = (layers(given) - given @ wanted.T).square().mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
    results[team.rank].copy_(torch.cat([loss.detach().view(1), *(p.detach().flatten() for p in layers.parameters())]))


def test_muon_learns_the_same_in_one_process_and_in_two() -> None:
    one = [torch.zeros(1 + 190)]
    _learn(alone(), one)
    assert one[0][0] < 0.1
    two = [torch.zeros(1 + 190).share_memory_() for _ in range(2)]
    run_team(_learn, 2, two)
    assert torch.allclose(two[0], two[1])
    assert torch.allclose(one[0], two[0], atol=1e-3)


def test_odd_pictures_show_something_in_many_colours() -> None:
    draw = np.random.default_rng(1)
    pictures = [odd_picture(draw, 64).astype(int) for _ in range(40)]
    assert all(picture.shape == (64, 64, 3) for picture in pictures)
    contrast = [np.linalg.norm(p - np.median(p.reshape(-1, 3), axis=0), axis=2).max() for p in pictures]
    assert np.mean(np.array(contrast) > LEAST_CONTRAST / 2) > 0.8
    assert np.std([p[0, 0] for p in pictures], axis=0).min() > 50
