"""Replay of sd15.json: prompts, an encoded picture and whole runs on a full-size Stable Diffusion 1.5 network.

Its weights are made by tests/data/reference/make_sd15.py, once, into the ignored folder .reference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.diffusion import vae
from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.sample import sample
from engine.diffusion.text.encode import encode
from engine.diffusion.unet import diffusion_model
from engine.values.latent import Latent
from tests.reference.result import Result, Selection, attempt, compared, figures_of

PART = "sd15"
ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / ".reference" / "sd15.safetensors"
SCRIPT = ROOT / "tests" / "data" / "reference" / "make_sd15.py"
SHA256 = "cb7a939a7f65a3d1"
TOLERANCES = {"conditioning": 1e-4, "encoded": 1e-3, "latent": 2e-3, "image": 2 / 255}


def checkpoint() -> Path:
    """The full-size checkpoint (2.1 GB), made if it is not there yet, which takes some minutes."""
    if not CHECKPOINT.exists():
        CHECKPOINT.parent.mkdir(exist_ok=True)
        part = CHECKPOINT.with_suffix(f".{os.getpid()}.part")
        try:
            run = subprocess.run([sys.executable, SCRIPT, part], check=True, capture_output=True, text=True)
            if run.stdout.strip() != SHA256:
                raise RuntimeError(f"{SCRIPT} wrote a file with SHA-256 {run.stdout.strip()}..., wanted {SHA256}...")
            part.rename(CHECKPOINT)
        finally:
            part.unlink(missing_ok=True)
    return CHECKPOINT


def replay(directory: Path, selection: Selection) -> Iterable[Result]:
    path = directory / "sd15.json"
    cases = json.loads(path.read_text()) if path.exists() else []
    chosen = [case for case in cases if selection.takes(kind="eps", sampler=case["sampler"])]
    if not chosen:
        return
    figures = figures_of(directory / "sd15.safetensors")
    engine = _Engine()
    if selection.sampler is None:
        yield from _prompts(engine, cases[0]["texts"], figures)
        yield attempt(PART, "image_encoded", lambda: _result("image_encoded", engine.encoded(figures["image"]), figures, "encoded"))
    for case in chosen:
        yield from _run(engine, case, figures)


class _Engine:
    def __init__(self) -> None:
        self.memory = Memory(choose("cpu", "reference"))
        self.checkpoint: Checkpoint = load_checkpoint(checkpoint())

    def encoded(self, picture: Tensor) -> Tensor:
        return vae.encode(self.memory, self.checkpoint.vae, picture)

    def picture(self, latent: Tensor) -> Tensor:
        return vae.decode(self.memory, self.checkpoint.vae, latent)

    def latent(self, case: Mapping[str, Any], start: Latent) -> Tensor:
        positive, negative = (encode(self.memory, self.checkpoint.clip, text) for text in case["texts"])
        with diffusion_model(self.memory, self.checkpoint.model) as model:
            return sample(
                model,
                positive,
                negative,
                start,
                seed=case["seed"],
                steps=case["steps"],
                cfg=case["cfg"],
                sampler_name=case["sampler"],
                scheduler=case["scheduler"],
                denoise=case["denoise"],
            ).samples


def _result(key: str, got: Tensor, figures: Mapping[str, Tensor], kind: str) -> Result:
    return compared(PART, key, got, figures[key], TOLERANCES[kind], absolute=kind == "image", key=key)


def _prompts(engine: _Engine, texts: list[str], figures: Mapping[str, Tensor]) -> Iterable[Result]:
    clip = engine.checkpoint.clip
    positive, negative = (encode(engine.memory, clip, text)[0] for text in texts)
    skipped = encode(engine.memory, clip.with_skip(-2), texts[0])[0]
    found = {
        "positive": positive.context,
        "positive_pooled": positive.pooled,
        "positive_clip_skip_2": skipped.context,
        "negative": negative.context,
    }
    for key, got in found.items():
        yield attempt(PART, key, lambda key=key, got=got: _result(key, got, figures, "conditioning"))


def _run(engine: _Engine, case: Mapping[str, Any], figures: Mapping[str, Tensor]) -> Iterable[Result]:
    latent, image = f"{case['name']}/latent", f"{case['name']}/image"
    drawn = attempt(PART, latent, lambda: _result(latent, engine.latent(case, _start(case, figures)), figures, "latent"))
    yield drawn
    if latent not in drawn.tensors:
        yield replace(drawn, name=image)
        return
    yield attempt(PART, image, lambda: _result(image, engine.picture(drawn.tensors[latent]), figures, "image"))


def _start(case: Mapping[str, Any], figures: Mapping[str, Tensor]) -> Latent:
    """An empty latent for text to image, else the recorded encoding of the picture; the mask covers the upper half."""
    width, height = case["width"], case["height"]
    if case["denoise"] == 1.0 and not case["mask"]:
        return Latent(torch.zeros(1, 4, height // 8, width // 8))
    mask = None
    if case["mask"]:
        mask = torch.zeros(1, 1, height, width)
        mask[:, :, : height // 2] = 1.0
    return Latent(figures["image_encoded"], mask)
