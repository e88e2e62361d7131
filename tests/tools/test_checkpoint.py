"""The embedded model as it is shipped."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.weights_file import read_header
from tools.grade_tiny_shapes import draw
from tools.tiny_shapes.judge import judge
from tools.tiny_shapes.prompts import held_out_prompts
from tools.train_tiny_shapes import OUT

REFERENCE = Path(__file__).parents[1] / "data" / "reference" / "sd15_keys.json"


def test_its_unet_has_the_tensor_names_of_stable_diffusion() -> None:
    prefix = "model.diffusion_model."
    names = {name for name in read_header(OUT).tensors if name.startswith(prefix)}
    assert names == {name for name in json.loads(REFERENCE.read_text()) if name.startswith(prefix)}
    assert len(names) == 686


def test_it_is_small_and_in_half_precision() -> None:
    header = read_header(OUT)
    assert header.size < 32 * 10**6
    assert {tensor.dtype for tensor in header.tensors.values()} == {"F16"}


def test_its_header_says_what_shapes_cannot() -> None:
    checkpoint = load_checkpoint(OUT)
    assert len(checkpoint.model.latent_rgb) == 5
    assert checkpoint.model.weights.arguments["attention_head_dim"] == 2
    assert checkpoint.vae.weights.arguments["norm_num_groups"] == 8


@pytest.mark.slow
def test_it_draws_what_held_out_prompts_say() -> None:
    prompts = held_out_prompts(40, things=1, seed=23)
    chosen = Namespace(checkpoint=OUT, precision="auto", steps=20, cfg=4.0, sampler="euler", scheduler="normal")
    verdicts = [judge(picture) for picture in draw(chosen, prompts, range(len(prompts)))]
    grounds = sum(verdict.background == prompt.scene.ground for verdict, prompt in zip(verdicts, prompts, strict=True))
    assert grounds >= 0.9 * len(prompts)
