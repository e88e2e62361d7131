"""Prompt syntax and infotext in whole workflows: pictures that have to be equal, whatever the embedded model draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.diffusion.text.tokenizer import token_ids
from engine.graph.folders import EMBEDDED_MODELS
from engine.infotext.text import parse_infotext
from engine.infotext.workflow import workflow_of
from tests.workflows.conftest import Studio

QUICK = ("sampler.steps=3", "latent.width=64", "latent.height=64")
TABLE = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"


@pytest.fixture(scope="module")
def rouge(studio: Studio) -> Path:
    """A learned word that is the word "red", in a file."""
    vectors = load_file(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")[TABLE][token_ids("red")]
    path = studio.runtime.folders.models / "embeddings" / "rouge.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"emb_params": vectors.to(torch.float32).contiguous()}, path)
    return path


def test_a_learned_word_draws_what_it_stands_for(studio, rouge):
    plain = studio.draw("text_to_image", *QUICK)
    called = "a embedding:rouge circle on a white background"
    assert np.array_equal(studio.draw("text_to_image", *QUICK, f"positive.text={called}"), plain)
    a1111 = ("prompt.positive=a rouge circle on a white background", "prompt.negative=", "prompt.steps=3")
    assert np.array_equal(studio.draw("a1111_prompt", *QUICK, *a1111), plain)
    assert not np.array_equal(studio.draw("text_to_image", *QUICK, "positive.text=a circle on a white background"), plain)


def test_prompt_editing_and_parts_without_weight_leave_the_picture_of_the_plain_prompt(studio):
    edited = "prompt.positive=a [green:red:0] circle on a [white::20] background AND a blue square :0"
    assert np.array_equal(studio.draw("a1111_prompt", *QUICK, edited, "prompt.negative="), studio.draw("text_to_image", *QUICK))


def test_a_picture_s_infotext_becomes_a_workflow_that_draws_it_again(studio):
    outcome = studio.run("a1111_prompt", *QUICK, "prompt.steps=3")
    picture = Image.open(studio.runtime.folders.output / outcome.ui["save"]["images"][0]["filename"])
    text = picture.text["parameters"]
    assert "{" not in text and "Model: tiny-shapes" in text
    folders = studio.runtime.folders
    workflow, notes = workflow_of(parse_infotext(text), folders.listing(("checkpoints", "loras", "embeddings")))
    assert notes == []
    again = studio.execute(workflow)
    drawn = Image.open(folders.output / again.ui["save"]["images"][0]["filename"])
    assert np.array_equal(np.asarray(drawn), np.asarray(picture))
