"""Replay of sigmas.json: schedules, table ends and timesteps of every kind; and the tables among the latents."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open

from engine.diffusion.sampling.prediction import KINDS, Prediction
from engine.diffusion.sampling.schedules import SCHEDULES, schedule
from tests.reference.result import Result, Selection, attempt, compared, missing

TOLERANCE = 1e-5
PART = "sigmas"


def replay(directory: Path, selection: Selection) -> Iterable[Result]:
    if selection.sampler is not None:
        return
    path = directory / "sigmas.json"
    for kind, record in (json.loads(path.read_text()) if path.exists() else {}).items():
        if not selection.takes(kind=kind):
            continue
        if kind not in KINDS:
            yield missing(PART, kind, "unknown kind")
            continue
        yield from _kind(kind, record, KINDS[kind])
    yield from _tables(directory / "latents.safetensors", selection)


def _kind(kind: str, record: dict, prediction: Prediction) -> Iterable[Result]:
    for end in ("sigma_min", "sigma_max"):
        yield compared(PART, f"{kind}/{end}", torch.tensor(getattr(prediction, end)), torch.tensor(float(record[end])), TOLERANCE)
    for case, values in record["sigmas"].items():
        name, steps = case.split("/")
        if name not in SCHEDULES:
            yield missing(PART, f"{kind}/{case}", "unknown schedule")
            continue
        wanted = torch.tensor([float(value) for value in values])
        yield attempt(
            PART,
            f"{kind}/{case}",
            lambda name=name, steps=steps, case=case, wanted=wanted: compared(
                PART, f"{kind}/{case}", schedule(name, prediction, int(steps)), wanted, TOLERANCE
            ),
        )
    for sigma, timestep in record["timestep_of_sigma"].items():
        got = prediction.timestep(torch.tensor(float(sigma)))
        yield compared(PART, f"{kind}/timestep of {sigma}", got, torch.tensor(float(timestep)), TOLERANCE)


def _tables(path: Path, selection: Selection) -> Iterable[Result]:
    if not path.exists():
        return
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a dict)
            kind, _, name = key.partition("/")
            if name == "table" and kind in KINDS and selection.takes(kind=kind):
                yield compared(PART, key, KINDS[kind].levels.sigmas, file.get_tensor(key), TOLERANCE, key=key)
