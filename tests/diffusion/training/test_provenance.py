"""What an adapter's file says about its training, as other programs read it."""

from __future__ import annotations

import json
from dataclasses import replace

from engine.diffusion.model_options import prediction
from engine.diffusion.sampling.prediction import Velocity
from engine.diffusion.training.provenance import MOST_TAGS, MOST_TAGS_IN_ALL, metadata_of_data, metadata_of_models
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import random_set


def told(data, steps: int = 1, **plan) -> dict[str, str]:
    return metadata_of_data(data, recipe(**plan), steps)


def with_examples(data, change):
    return replace(data, dataset=replace(data.dataset, examples=tuple(map(change, data.dataset.examples))))


def test_pictures_folders_sizes_and_tags_are_told_as_kohya_tells_them(tmp_path):
    """Five pictures, the third of them wide, twice each; the last one is for regularisation."""
    folder = tmp_path / "2_sks shape"
    folder.mkdir()
    data = with_examples(random_set(folder, 5), lambda example: replace(example, repeats=2, regularisation=example.name == "picture4.png"))
    found = told(data)
    assert (found["ss_num_train_images"], found["ss_num_reg_images"], found["ss_num_validation_images"]) == ("8", "2", "0")
    assert json.loads(found["ss_dataset_dirs"]) == {"2_sks shape": {"n_repeats": 2, "img_count": 4}}
    assert json.loads(found["ss_reg_dataset_dirs"]) == {"2_sks shape": {"n_repeats": 2, "img_count": 1}}
    tags = json.loads(found["ss_tag_frequency"])["2_sks shape"]
    assert tags == {"sks shape": 4, "large": 4, "red": 2, "blue": 1, "green": 1, "on white": 4}
    buckets = json.loads(found["ss_bucket_info"])
    assert buckets["buckets"] == {"0": {"resolution": [64, 64], "count": 6}, "1": {"resolution": [96, 64], "count": 2}}
    assert buckets["mean_img_ar_error"] == 0
    assert (found["ss_resolution"], found["ss_enable_bucket"]) == ("(64, 64)", "True")
    assert found["modelspec.resolution"] == "64x64"
    assert found["modelspec.trigger_phrase"] == "sks shape"
    assert (found["ss_shuffle_caption"], found["ss_keep_tokens"], found["ss_flip_aug"]) == ("True", "1", "True")
    assert all(isinstance(text, str) for text in found.values())


def test_latents_of_a_graph_have_no_folder_and_no_tags(tmp_path):
    data = with_examples(random_set(tmp_path, 2), lambda example: replace(example, path=f"{example.path}.safetensors"))
    assert (told(data)["ss_dataset_dirs"], told(data)["ss_tag_frequency"]) == ("{}", "{}")


def test_epochs_are_those_that_were_begun(tmp_path):
    """Five pictures in batches of one: five steps an epoch, or three with two batches a step."""
    data = random_set(tmp_path, 5)
    assert [told(data, steps)["ss_epoch"] for steps in (1, 5, 6)] == ["1", "1", "2"]
    assert [told(data, steps, accumulation=2)["ss_epoch"] for steps in (2, 3)] == ["1", "2"]
    assert told(data)["ss_num_batches_per_epoch"] == "5"


def test_captions_in_sentences_do_not_fill_the_header(tmp_path):
    captions = tuple(f"sentence {number} {'x' * 1000}" for number in range(2 * MOST_TAGS))
    data = with_examples(random_set(tmp_path, 2), lambda example: replace(example, captions=captions))
    assert len(told(data)["ss_tag_frequency"]) < 300 * MOST_TAGS


def test_the_tags_of_many_folders_do_not_fill_it_either(tmp_path):
    """A header of 32 MB cannot be read again, and the work of hours would be lost with it."""
    pictures = iter(range(200))
    captions = (",".join(f"{number} {'x' * 300}" for number in range(2 * MOST_TAGS)),)

    def apart(example):
        return replace(example, captions=captions, path=str(tmp_path / f"1_{next(pictures)}" / example.name))

    table = json.loads(told(with_examples(random_set(tmp_path, 200), apart))["ss_tag_frequency"])
    assert len(table) == 200 and sum(map(len, table.values())) == MOST_TAGS_IN_ALL


def test_the_model_and_how_its_text_encoder_was_read_are_told(checkpoint):
    assert metadata_of_models(checkpoint.model, checkpoint.clip) == {"ss_sd_model_name": "tiny-shapes.safetensors"}
    assert metadata_of_models(checkpoint.model, checkpoint.clip.with_skip(-2))["ss_clip_skip"] == "2"
    v = replace(prediction(checkpoint.model), formula=Velocity())
    assert metadata_of_models(checkpoint.model.with_options(prediction=v), None)["modelspec.prediction_type"] == "v"
