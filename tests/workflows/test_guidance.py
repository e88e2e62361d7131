"""Workflows of guidance inside the network and of branches; what is computed again when little changes; unusual settings."""

import numpy as np
import pytest

from engine.errors import InvalidWorkflow
from tests.workflows.conftest import seen

SMALL = ("latent.width=64", "latent.height=64", "sampler.steps=1")


def test_guidance_inside_the_network_draws_what_the_prompt_says_and_otherwise(studio):
    guided = studio.draw("guidance")
    assert seen(guided) == ("red", "circle", "white")
    assert np.abs(guided.astype(int) - studio.draw("text_to_image")).max() > 20


def test_turned_down_to_nothing_it_is_the_plain_picture(studio):
    factors = [f"freeu.{name}=1" for name in ("b1", "b2", "s1", "s2")]
    plain = studio.draw("guidance", *factors, "perturbed.scale=0", "saved_steps.reuse_threshold=0")
    assert np.array_equal(plain, studio.draw("text_to_image"))


def test_a_list_is_drawn_by_the_same_nodes_and_branches_choose(studio):
    outcome = studio.run("branches")
    assert outcome.records["matched"].reason == "not needed"
    assert seen(studio.draw("branches")) == ("blue", "cross", "yellow")
    assert seen(studio.draw("branches", "wanted.condition=false")) == ("red", "circle", "white")
    matched = studio.draw("branches", "which.index=1").reshape(-1, 3).mean(axis=0)
    first = studio.draw("text_to_image").reshape(-1, 3).mean(axis=0)
    assert np.abs(matched - first).max() < 20  # the other picture's colours: its mean


def test_another_seed_does_not_encode_the_prompt_again(studio):
    studio.run("text_to_image", "sampler.seed=11", *SMALL)
    records = studio.run("text_to_image", "sampler.seed=12", *SMALL).records
    assert not records["sampler"].cached
    assert all(records[node].cached for node in ("positive", "negative"))


@pytest.mark.parametrize(
    "settings",
    [
        ("sampler.cfg=0",),
        ("sampler.cfg=1",),
        ("sampler.denoise=0",),
        ("positive.text=", "negative.text="),
        ("latent.width=72", "latent.height=104"),
        ("sampler.sampler_name=uni_pc",),
        ("sampler.scheduler=beta",),
    ],
    ids=" ".join,
)
def test_unusual_settings_draw_a_picture(studio, settings):
    picture = studio.draw("text_to_image", *SMALL, *settings)
    assert picture.shape == ((104, 72, 3) if "latent.width=72" in settings else (64, 64, 3))


@pytest.mark.parametrize(
    ("setting", "words"), [("sampler.sampler_name=euler_old", "euler_old"), ("sampler.steps=0", "steps"), ("sampler.denoise=2", "denoise")]
)
def test_settings_that_cannot_be_say_where(studio, setting, words):
    with pytest.raises(InvalidWorkflow) as caught:
        studio.run("text_to_image", setting)
    assert "sampler" in str(caught.value.to_json()) and words in str(caught.value.to_json())
