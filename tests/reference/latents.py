"""Replay of cases.json: whole sampling runs on the toy network, compared with latents.safetensors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.sampling.prediction import KINDS
from engine.diffusion.sampling.sample import sample
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.values.conditioning import Area, Condition, Conditioning
from engine.values.latent import Latent
from tests.reference.result import Result, Selection, attempt, compared, figures_of, missing
from tests.reference.toy import latent_tolerance, starting_latent, toy_model

PART = "latents"
FROM_R = ("karras_img2img", "second_half", "mask_top3of8rows")


def replay(directory: Path, selection: Selection) -> Iterable[Result]:
    path = directory / "cases.json"
    if not path.exists():
        return
    tensors = figures_of(directory / "latents.safetensors")
    for case in json.loads(path.read_text()):
        name = case["name"]
        if not selection.takes(kind=case["kind"], sampler=case["sampler"]):
            continue
        if case["sampler"] not in SAMPLERS or case["kind"] not in KINDS:
            yield missing(PART, name, "unknown sampler or kind")
            continue
        yield attempt(PART, name, lambda case=case: _case(case, tensors))


def _case(case: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Result:
    wanted = tensors[case["name"]]
    got = run(case, tensors, wanted.shape).samples
    return compared(PART, case["name"], got, wanted, latent_tolerance(case["sampler"]), key=case["name"])


def run(case: Mapping[str, Any], tensors: Mapping[str, Tensor], shape: torch.Size) -> Latent:
    """One case; `shape` [B, C, h, w] is that of its result, `tensors` hold its conditionings."""
    variant = case["name"].rpartition("/")[2]
    positive, negative = conditionings(variant, tensors, shape)
    return sample(
        toy_model(case["kind"]),
        positive,
        negative,
        _latent(variant, case["batch_inds"], shape),
        seed=case["seed"],
        steps=case["steps"],
        cfg=case["cfg"],
        sampler_name=case["sampler"],
        scheduler=case["scheduler"],
        denoise=case["denoise"],
        start_at_step=case["start"],
        end_at_step=case["last"],
        add_noise=not case["disable_noise"],
        leftover_noise=not case["force_full"],
    )


def _latent(variant: str, batch_index: list[int] | None, shape: torch.Size) -> Latent:
    batch, channels, height, width = shape
    samples = starting_latent(channels, height, width).repeat(batch, 1, 1, 1) if variant in FROM_R else torch.zeros(shape)
    mask = None
    if variant == "mask_top3of8rows":
        mask = torch.zeros(1, 1, 8 * height, 8 * width)
        mask[:, :, : 3 * height] = 1.0
    return Latent(samples, mask, None if batch_index is None else tuple(batch_index))


def conditionings(variant: str, tensors: Mapping[str, Tensor], shape: torch.Size) -> tuple[Conditioning, Conditioning]:
    """The positive and negative side that the last part of a case's name stands for."""
    height, width = shape[-2:]

    def prompt(name: str) -> Conditioning:
        return Conditioning([Condition(tensors[f"cond/{name}"])])

    first, negative = prompt("1"), prompt("2")
    third: dict[str, dict[str, Any]] = {
        "cond_two_positives": {"strength": 0.5},
        "cond_area": {"area": Area(height // 2, height // 2, 1, 2), "strength": 0.8},
        "cond_area_percent": {"area": Area(0.5, 0.5, 0.25, 0.25, fraction=True)},
        "cond_mask_cond": {"mask": torch.ones(1, height, width).tril(), "strength": 0.7},
    }
    if variant in third:
        return first + prompt("3").with_each(**third[variant]), negative
    if variant == "cond_timestep_range":
        early = first.with_each(start_percent=0.0, end_percent=0.4)
        return early + prompt("3").with_each(start_percent=0.4, end_percent=1.0), negative
    if variant == "cond_two_negatives":
        return first, negative + prompt("4")
    if variant == "cond_longer_prompt":
        longer = next((key for key in tensors if key.startswith("cond/1x")), "cond/1x154")
        return prompt(longer.removeprefix("cond/")), negative
    return first, negative
