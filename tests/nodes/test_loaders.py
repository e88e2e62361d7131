"""Checkpoints as old workflows of ComfyUI open them: what a configuration adds to what the file says."""

import pytest

from engine.diffusion.model_options import prediction
from engine.diffusion.sampling.prediction import Epsilon, Velocity
from nodes.loaders import load, load_with_config

FILE = "tiny-shapes.safetensors"


@pytest.mark.parametrize(
    ("config", "skip", "formula"),
    [
        ("v1-inference.yaml", None, Epsilon),
        ("v1-inference_clip_skip_2_fp16.yaml", -2, Epsilon),
        ("anything_v3.yaml", -2, Epsilon),
        ("v2-inference-v.yaml", None, Velocity),
    ],
)
def test_a_configuration_says_what_the_file_cannot(ctx, config, skip, formula):
    plain, checkpoint = load(ctx, FILE), load_with_config(ctx, config, FILE)
    assert checkpoint.model.weights == plain.model.weights and checkpoint.vae.weights == plain.vae.weights
    assert checkpoint.clip.skip == skip
    assert type(prediction(checkpoint.model).formula) is formula
