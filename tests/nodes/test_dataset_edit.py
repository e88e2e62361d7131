"""Datasets changed in the graph: captions, class pictures that the model draws, previews, and folders as batches."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.encode import encode
from engine.diffusion.training.buckets import BucketPlan, with_buckets
from engine.diffusion.training.regularisation import ClassPictures, missing
from engine.errors import InvalidInput, QuotaExceeded
from engine.graph import Context, Folders, JobInfo, Workflow
from engine.graph.validation import validate
from engine.settings import load
from engine.worker.runtime import build
from nodes.dataset import buckets, cache_dataset, dataset_from_folder, dataset_merge
from nodes.dataset_edit import caption_edit, dataset_from_images, dataset_preview, make_regularisation
from nodes.image_folders import load_image_set, load_image_text_set
from nodes.loaders import load as load_checkpoint_node
from nodes.primitive import preview_any
from tests.diffusion import small_checkpoint
from tests.diffusion.training.drawn import caption, folder, picture, read

CAPTIONS = {"a.png": "a red sks shape, on white", "b.png": "a blue sks shape", "c.png": "nothing of it"}


@pytest.fixture
def ctx(tmp_path) -> Context:
    folders = Folders(tmp_path / "data")
    folders.create()
    for number, (name, text) in enumerate(CAPTIONS.items()):
        picture(folders.datasets / "mine" / name, 64, 32 if name == "b.png" else 64, seed=number)
        caption(folders.datasets / "mine" / name.replace(".png", ".txt"), text)
    return Context(folders=folders, memory=Memory(choose("cpu", "fp32")))


def captions(dataset) -> list[str]:
    return [example.captions[0] for example in dataset.examples]


def test_captions_are_edited_in_order(ctx) -> None:
    dataset = dataset_from_folder(ctx, "mine").dataset
    edited = caption_edit(dataset, captions="c.png: a Sks  shape: new\n", find="sks shape", replacement="thing").dataset
    assert captions(edited) == ["a red thing, on white", "a blue thing", "a Sks  shape: new"]
    edited = caption_edit(dataset, prefix="photo of ", suffix=".", trigger="sks shape", only="[bc].png")
    assert captions(edited.dataset) == [CAPTIONS["a.png"], "photo of a blue sks shape.", "sks shape, photo of nothing of it."]
    assert edited.dataset.trigger == "sks shape" and "photo of a blue" in edited.table
    assert captions(dataset) == list(CAPTIONS.values())


@pytest.mark.parametrize(
    "edit",
    [{"find": "green"}, {"replacement": "x"}, {"only": "*.jpg", "prefix": "x"}, {"captions": "d.png: x"}, {"captions": "a.png"},
     {"captions": "c.png: x", "find": "x"}],
)  # fmt: skip
def test_edits_that_change_nothing_are_refused(ctx, edit: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        caption_edit(dataset_from_folder(ctx, "mine").dataset, **edit)
    assert caught.value.hint


def test_a_trigger_that_is_added_is_checked(ctx) -> None:
    assert "pin + whl" in caption_edit(dataset_from_folder(ctx, "mine").dataset, trigger="pinwhl").table


def test_class_pictures_take_the_captions_with_the_class_for_the_trigger(ctx) -> None:
    dataset = dataset_from_folder(ctx, "mine", trigger="sks shape").dataset
    sized = buckets(dataset, resolution=64, min_side=32, max_side=128, step=32, rule="kohya_no_upscale").dataset
    assert missing(sized, "circle, star", 4) == [
        ClassPictures("a red circle, on white", 64, 64, 1),
        ClassPictures("a blue star", 64, 32, 1),
        ClassPictures("circle, nothing of it", 64, 64, 1),
        ClassPictures("a red star, on white", 64, 64, 1),
    ]
    assert [group.copies for group in missing(sized, "circle", 18)] == [4, 2, 4, 2, 4, 2]
    assert len(missing(sized, "circle", 0)) == 3


def test_what_is_missing_for_class_pictures_is_told(ctx) -> None:
    dataset = dataset_from_folder(ctx, "mine", trigger="sks shape").dataset
    with pytest.raises(InvalidInput, match="no class word"):
        missing(dataset, "", 0)
    with pytest.raises(InvalidInput, match="has no bucket"):
        missing(dataset, "circle", 0)
    with pytest.raises(InvalidInput, match="no picture of a subject"):
        missing(dataset_from_folder(ctx, "mine", regularisation=True).dataset, "circle", 0)


def test_the_graph_draws_class_pictures_and_training_takes_them(tmp_path) -> None:
    """On the embedded model, as a workflow; a second run draws nothing anew."""
    for number in range(2):
        picture(tmp_path / f"datasets/mine/{number}.png", 64, 64, seed=number)
    picture(tmp_path / "datasets/class/5.png", 64, 64, seed=9)
    runtime = build(load(data=tmp_path))
    with Workflow() as workflow:
        checkpoint = load_checkpoint_node("tiny-shapes.safetensors")
        subject = dataset_from_folder("mine", trigger="sks shape", class_word="circle")
        given = dataset_from_folder("class", caption="circle", regularisation=True, weight=0.5)
        sized = buckets(dataset_merge((subject.dataset, given.dataset)), resolution=64, min_side=64, max_side=64)
        full = make_regularisation(checkpoint.model, checkpoint.clip, checkpoint.vae, sized.dataset, count=4, steps=1, weight=0.5)
        cached = cache_dataset(full, checkpoint.vae, checkpoint.clip)
        preview_any(cached.table)
    table = run(runtime, workflow)
    assert "2 pictures, 2 draws per epoch, and 4 for regularisation" in table and "6 entries" not in table
    assert table.count("regularisation: circle") == 4 and "8 entries encoded now" in table
    made = list((tmp_path / "state/made_pictures").glob("*.png"))
    assert len(made) == 3 and all(Image.open(path).size == (64, 64) for path in made)
    assert run(runtime, workflow) == table
    runtime.close()


def run(runtime, workflow: Workflow) -> str:
    catalogue = runtime.catalogue()
    validated = validate(workflow.flatten(catalogue), catalogue, strict=True)
    validated.raise_for_problems()
    outcome = asyncio.run(runtime.executor.run(validated.graph, validated.outputs, job=runtime.job("a", "", {}, {})))
    assert outcome.state == "succeeded", outcome.error
    return next(iter(outcome.ui.values()))["text"][0]


def test_pictures_of_the_graph_become_a_dataset(ctx) -> None:
    pictures = torch.rand(3, 16, 24, 3)
    dataset = dataset_from_images(ctx, (pictures[:2], pictures[2:]), captions="one\ntwo\n\nthree", repeats=2, own_size=True)
    assert [(e.captions, e.width, e.height, e.bucket.size) for e in dataset.examples] == [
        ((text,), 24, 16, (24, 16)) for text in ("one", "two", "three")
    ]
    kept = np.asarray(Image.open(dataset.examples[2].path))
    assert np.abs(kept / 255 - pictures[2].numpy()).max() < 1.01 / 255
    again = dataset_from_images(ctx, (pictures,), captions="all")
    assert [e.path for e in again.examples] == [e.path for e in dataset.examples]
    for wrong in ({"captions": "one\ntwo"}, {"captions": ""}):
        with pytest.raises(InvalidInput):
            dataset_from_images(ctx, (pictures,), **wrong)


def test_a_preview_shows_cuts_with_masked_parts_dark(tmp_path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a.png")
    levels = np.zeros((64, 64), dtype=np.uint8)
    levels[:, :32] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(levels).save(tmp_path / "masks/a.png")
    dataset = read(tmp_path, caption="x", masks="folder", mask_folder=folder(tmp_path / "masks"), recursive=False)
    sheet = dataset_preview(Context(), with_buckets(dataset, BucketPlan(64, 64, 64, 64, 64)))
    assert sheet[0, 40, 10].tolist() == [1, 1, 1] and sheet[0, 40, 60].tolist() == [0.25] * 3
    with pytest.raises(InvalidInput, match="1 pictures"):
        dataset_preview(Context(), dataset, first=1)


@pytest.mark.parametrize(("method", "expected"), [("Stretch", 1.0), ("Crop", 1.0), ("Pad", 0.0)])
def test_a_folder_as_a_batch(ctx, method: str, expected: float) -> None:
    Image.new("RGB", (64, 32), "white").save(ctx.folders.datasets / "mine/b.png")
    batch = load_image_set(ctx, "mine", method)
    assert batch.shape == (3, 64, 64, 3) and batch[1, 2].mean() == expected and batch[1, 32].mean() == 1
    with pytest.raises(InvalidInput, match=r"b\.png has 64 x 32"):
        load_image_set(ctx, "mine")
    small = Context(folders=ctx.folders, job=JobInfo(max_pixels=3 * 64 * 64 - 1))
    with pytest.raises(QuotaExceeded):
        load_image_set(small, "mine", method)


def test_a_folder_as_a_batch_with_prompts(ctx, tmp_path) -> None:
    clip = load_checkpoint(small_checkpoint.write(tmp_path / "small.safetensors")).clip
    Path(ctx.folders.datasets / "mine/a.txt").write_text("a (red:1.5) shape")
    images, conditioning = load_image_text_set(ctx, "mine", clip, "Crop", 32, 16)
    assert images.shape == (3, 16, 32, 3) and len(conditioning) == 3
    assert torch.equal(conditioning[0].context, encode(ctx.memory, clip, "a \\(red:1.5\\) shape")[0].context)
    with pytest.raises(InvalidInput, match="32 x -1"):
        load_image_text_set(ctx, "mine", clip, "Crop", 32, -1)
