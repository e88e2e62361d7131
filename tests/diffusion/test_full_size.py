"""A full-size Stable Diffusion 1.5 network (2.1 GB, made once) gives what ComfyUI gives with it, and loads in little more than its size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference.result import Selection
from tests.reference.sd15 import checkpoint, replay

FIGURES = Path(__file__).parents[1] / "data" / "reference"
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_prompts_pictures_and_runs_are_comfyuis():
    results = list(replay(FIGURES, Selection()))
    assert len(results) == 15
    assert [(result.name, result.error, result.note) for result in results if result.state != "ok"] == []


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["reference", "bf16", "fp16"])
def test_loading_needs_at_most_a_quarter_more_than_the_weights(precision):
    command = [sys.executable, "-m", "bench.loading", str(checkpoint()), "--way", "engine", "--precision", precision]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()[-1])
    assert found["peak"] <= 1.25 * found["weights"]
