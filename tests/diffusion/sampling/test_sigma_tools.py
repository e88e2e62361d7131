"""Parts of schedules, compared with what ComfyUI's nodes answer to the same inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.diffusion.sampling.schedules import exponential_range, karras_range, laplace_range, polyexponential_range, variance_preserving
from engine.diffusion.sampling.sigma_tools import align_your_steps, extended, flipped, split, split_by_denoise, with_first

FIGURES = Path(__file__).parents[2] / "data" / "reference"
TENSORS = load_file(FIGURES / "nodes.safetensors")

NODES: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "AlignYourStepsScheduler": lambda model_type, steps, denoise: align_your_steps(model_type, steps, denoise),
    "KarrasScheduler": lambda steps, sigma_max, sigma_min, rho: karras_range(steps, sigma_min, sigma_max, rho),
    "ExponentialScheduler": lambda steps, sigma_max, sigma_min: exponential_range(steps, sigma_min, sigma_max),
    "PolyexponentialScheduler": lambda steps, sigma_max, sigma_min, rho: polyexponential_range(steps, sigma_min, sigma_max, rho),
    "LaplaceScheduler": lambda steps, sigma_max, sigma_min, mu, beta: laplace_range(steps, sigma_min, sigma_max, mu, beta),
    "VPScheduler": lambda steps, beta_d, beta_min, eps_s: variance_preserving(steps, beta_d, beta_min, eps_s),
    "SplitSigmas": lambda sigmas, step: split(sigmas, step),
    "SplitSigmasDenoise": lambda sigmas, denoise: split_by_denoise(sigmas, denoise),
    "FlipSigmas": lambda sigmas: flipped(sigmas),
    "SetFirstSigma": lambda sigmas, sigma: with_first(sigmas, sigma),
    "ExtendIntermediateSigmas": lambda sigmas, steps, start_at_sigma, end_at_sigma, spacing: extended(
        sigmas, steps, start_at_sigma, end_at_sigma, spacing
    ),
}
RECORDS = [record for record in json.loads((FIGURES / "nodes.json").read_text()) if record["node"] in NODES]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record['node']}-{record['case']}")
def test_levels_are_those_of_the_node(record: Mapping[str, Any]) -> None:
    def value(entry: Any) -> Any:
        return TENSORS[entry["tensor"]] if isinstance(entry, dict) else entry

    inputs = {name: value(entry) for name, entry in record["inputs"].items()}
    before = {name: entry.clone() for name, entry in inputs.items() if isinstance(entry, Tensor)}
    answer = NODES[record["node"]](**inputs)
    answers = answer if isinstance(answer, tuple) else (answer,)
    assert len(answers) == len(record["outputs"])
    for got, wanted in zip(answers, record["outputs"], strict=True):
        assert torch.allclose(got, value(wanted), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(inputs[name], entry) for name, entry in before.items())


def test_every_kind_of_node_was_recorded() -> None:
    assert {record["node"] for record in RECORDS} == set(NODES)


def test_align_your_steps_interpolates_other_step_counts() -> None:
    sigmas = align_your_steps("SD1", 20)
    assert len(sigmas) == 21
    assert torch.allclose(sigmas[:-1:2], align_your_steps("SD1", 10)[:-1], rtol=1e-5)
    assert sigmas[1] ** 2 == pytest.approx(float(sigmas[0] * sigmas[2]), rel=1e-4)
    assert len(align_your_steps("SD1", 10, 0.0)) == 0


def test_splitting_off_nothing() -> None:
    sigmas = torch.tensor([3.0, 2.0, 1.0, 0.0])
    first, rest = split_by_denoise(sigmas, 0.0)
    assert (len(first), rest.tolist()) == (0, [0.0])
