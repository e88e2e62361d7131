"""What a newcomer runs first does what its title says."""

import numpy as np
import pytest

from engine.graph.folders import EXAMPLE_WORKFLOWS
from engine.graph.validation import validate
from engine.graph.workflow_reader import parse_document
from tests.workflows.conftest import Studio, seen


def test_text_to_image_draws_what_the_prompt_says(studio):
    assert seen(studio.draw("text_to_image")) == ("red", "circle", "white")


def test_another_prompt_gives_another_picture(studio):
    assert seen(studio.draw("text_to_image", "positive.text=a large blue cross on a yellow background")) == ("blue", "cross", "yellow")


def test_another_seed_gives_another_picture_of_the_same(studio):
    first, second = studio.draw("text_to_image"), studio.draw("text_to_image", "sampler.seed=3")
    assert np.abs(first.astype(int) - second).max() > 50
    assert seen(second) == ("red", "circle", "white")


def test_the_same_seed_gives_the_same_bytes_when_nothing_is_cached(studio, tmp_path):
    other = Studio(tmp_path)
    try:
        assert np.array_equal(other.draw("text_to_image"), studio.draw("text_to_image"))
    finally:
        other.runtime.close()


def test_image_to_image_recolours_and_keeps_the_place(studio):
    before, after = studio.draw("text_to_image"), studio.draw("image_to_image")
    assert seen(after) == ("blue", "circle", "white")
    shape = np.abs(before.astype(int) - 255).max(axis=2) > 60
    redrawn = np.abs(after.astype(int) - 255).max(axis=2) > 60
    assert (shape & redrawn).sum() / (shape | redrawn).sum() > 0.6


def test_image_to_image_with_little_denoising_keeps_the_shape(studio):
    verdict = seen(studio.draw("image_to_image", "redraw.denoise=0.2"))
    assert verdict[1:] == ("circle", "white")


def test_a_weight_of_zero_takes_a_word_s_pull_away(studio):
    """`(blue:0)` is a cross whose colour the prompt does not say."""
    weighted = "positive.text=a (blue:1.0) cross on a white background"
    for seed in (1, 2, 3):
        assert seen(studio.draw("prompt_weights", f"sampler.seed={seed}"))[0] != "blue"
        assert seen(studio.draw("prompt_weights", weighted, f"sampler.seed={seed}")) == ("blue", "cross", "white")


def test_a_loop_draws_over_the_picture_and_keeps_it_a_red_circle(studio):
    outcome = studio.run("loop")
    assert sum(record.class_type == "KSampler" for record in outcome.records.values()) == 4
    assert seen(studio.draw("loop")) == ("red", "circle", "white")


@pytest.mark.parametrize("path", sorted(EXAMPLE_WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_valid(studio, my_lora, path):
    catalogue = studio.runtime.catalogue()
    workflow = parse_document(path.read_bytes())
    validated = validate(workflow.flatten(catalogue), catalogue, strict=True)
    assert validated.problems == ()
    assert validated.outputs


def test_a_prompt_in_a1111s_syntax_draws_what_it_ends_with(studio):
    assert seen(studio.draw("a1111_prompt")) == ("red", "circle", "white")
