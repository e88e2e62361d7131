"""Reading and saving pictures, as a user sees it on disk."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from engine.errors import MissingFile, UnsafePath
from nodes.image import load_image, preview_image, save_image


def test_a_saved_batch_is_numbered_and_holds_its_workflow(ctx):
    shown = save_image(ctx, torch.rand(2, 8, 16, 3), "shapes/picture")
    names = [record["filename"] for record in shown.ui["images"]]
    assert names == ["picture_00001_.png", "picture_00002_.png"]
    assert {(record["subfolder"], record["type"]) for record in shown.ui["images"]} == {("shapes", "output")}
    saved = Image.open(ctx.folders.output / "shapes" / names[0])
    assert saved.size == (16, 8)
    assert json.loads(saved.text["prompt"]) == ctx.job.prompt
    assert json.loads(saved.text["workflow"]) == {"version": 0.4}
    assert json.loads(saved.text["easel"]) == {"format": "easel/1"}


def test_nothing_is_embedded_when_metadata_is_off(ctx):
    ctx.job = replace(ctx.job, metadata=False)
    record = save_image(ctx, torch.rand(1, 8, 8, 3), "plain").ui["images"][0]
    assert Image.open(ctx.folders.output / record["filename"]).text == {}


def test_size_and_place_in_the_batch_can_be_in_the_name(ctx):
    names = [record["filename"] for record in save_image(ctx, torch.rand(2, 8, 16, 3), "%width%x%height%-%batch_num%").ui["images"]]
    assert names == ["16x8-0_00001_.png", "16x8-1_00001_.png"]


def test_a_preview_goes_to_the_temporary_folder(ctx):
    record = preview_image(ctx, torch.rand(1, 8, 8, 3)).ui["images"][0]
    assert record["type"] == "temp"
    assert (ctx.folders.temp / record["subfolder"] / record["filename"]).is_file()


@pytest.mark.parametrize("prefix", ["../out", "/etc/out", "a/../../out"])
def test_a_prefix_that_leaves_the_output_folder_is_refused(ctx, prefix):
    with pytest.raises(UnsafePath):
        save_image(ctx, torch.rand(1, 8, 8, 3), prefix)


def test_a_picture_of_the_input_folder_is_read(ctx):
    Image.new("RGB", (8, 8), "red").save(ctx.folders.input / "red.png")
    image, mask = load_image(ctx, "red.png")
    assert image[0, 0, 0].tolist() == [1, 0, 0]
    assert not mask.any()


def test_a_picture_of_the_output_folder_is_read_when_its_name_says_so(ctx):
    record = save_image(ctx, torch.ones(1, 8, 8, 3), "white").ui["images"][0]
    assert load_image(ctx, f"{record['filename']} [output]").image.min() == 1


def test_a_missing_picture_is_named(ctx):
    with pytest.raises(MissingFile, match=r"nothing\.png"):
        load_image(ctx, "nothing.png")
