"""The nodes of datasets, called as a graph calls them; a small random VAE and text encoder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.errors import InvalidInput, MissingFile
from engine.graph import Context, Folders
from engine.values.dataset import CaptionPolicy, FaceCrop
from nodes.dataset import (
    augmentation,
    buckets,
    cache_dataset,
    caption_policy,
    dataset_from_config,
    dataset_from_folder,
    dataset_merge,
    validation_split,
)
from tests.diffusion import small_checkpoint
from tests.diffusion.training.drawn import caption, picture


@pytest.fixture
def home(tmp_path):
    """A data folder with a dataset of two pictures, and one elsewhere."""
    folders = Folders(tmp_path / "data")
    folders.create()
    picture(folders.datasets / "mine/a.png", 72, 64, seed=1)
    picture(folders.datasets / "mine/b.png", 64, 72, seed=2)
    picture(tmp_path / "elsewhere/5_old dog/c.png", 64, 64, seed=3)
    return tmp_path


def context(home, **options) -> Context:
    return Context(folders=Folders(home / "data", datasets=[home / "elsewhere"]), **options)


def test_from_a_folder_to_a_training_set(home) -> None:
    checkpoint = load_checkpoint(small_checkpoint.write(home / "small.safetensors"))
    steps: list[tuple[float, float]] = []
    ctx = context(home, memory=Memory(choose("cpu", "fp32")), on_progress=lambda step, total, preview: steps.append((step, total)))
    dataset, table = dataset_from_folder(ctx, "mine", trigger="sks shape", repeats=2)
    assert "2 pictures, 4 draws per epoch" in table
    prior = dataset_from_folder(ctx, "elsewhere", regularisation=True, weight=0.5).dataset
    shuffled = caption_policy(augmentation(dataset_merge((dataset, prior)), flip=True), shuffle=True, keep_tokens=1)
    sized, table = buckets(shuffled, resolution=64, min_side=32, max_side=128, step=32, short_batches="fill")
    assert "bucket 64 x 64: 3" in table and "5_old dog/c.png: 64 x 64 -> 64 x 64, x5, regularisation: old dog" in table
    steps.clear()
    training_set, table = cache_dataset(ctx, sized, checkpoint.vae, checkpoint.clip)
    assert table.endswith("8 entries encoded now, 0 known from before")
    assert steps == [(step, 5) for step in range(1, 6)]
    assert [len(files) for files in training_set.latents] == [2, 2, 2] and set(training_set.texts) == {"sks shape", "old dog"}
    assert training_set.dataset.short_batches == "fill" and training_set.dataset.trigger == "sks shape"
    assert cache_dataset(ctx, sized, checkpoint.vae, checkpoint.clip).table.endswith("0 entries encoded now, 8 known from before")


def test_what_would_have_no_effect_is_refused(home) -> None:
    ctx = context(home)
    dataset = dataset_from_folder(ctx, "mine", trigger="sks").dataset
    for wrong in (
        lambda: dataset_from_folder(ctx, "mine", trigger="sks", mask_folder="elsewhere"),
        lambda: dataset_from_folder(ctx, "mine", trigger="sks", masks="folder"),
        lambda: augmentation(dataset, flip=True, variants=8),
        lambda: caption_policy(dataset, keep_tokens=2),
        lambda: dataset_merge(()),
        lambda: buckets(dataset, resolution=128),
    ):
        with pytest.raises(InvalidInput) as caught:
            wrong()
        assert caught.value.hint


CONFIG = """
[general]
shuffle_caption = true
keep_tokens = 1
enable_bucket = true
caption_extension = ".caption"

[[datasets]]
resolution = 64
min_bucket_reso = 32
max_bucket_reso = 128
bucket_reso_steps = 32
batch_size = 4

  [[datasets.subsets]]
  image_dir = "pictures"
  num_repeats = 3
  class_tokens = "sks dog"
  flip_aug = true

  [[datasets.subsets]]
  image_dir = "ELSEWHERE/5_old dog"
  is_reg = true
  class_tokens = "dog"
  keep_tokens = 0

[[datasets]]
resolution = [32, 64]
enable_bucket = false
  [[datasets.subsets]]
  image_dir = "mine"
  class_tokens = "x"
"""


def test_a_configuration_of_kohya(home) -> None:
    picture(home / "data/datasets/kohya/pictures/p.png", 110, 50, seed=4)
    caption(home / "data/datasets/kohya/pictures/p.caption", "sks dog, on grass")
    caption(home / "data/datasets/kohya/set.toml", CONFIG.replace("ELSEWHERE", str(home / "elsewhere")))
    ctx = context(home)
    assert "kohya/set.toml" in ctx.folders.list("datasets:config")
    dataset, table = dataset_from_config(ctx, "kohya/set.toml", trigger="sks dog")
    first, second, third, _ = dataset.examples
    policy = CaptionPolicy(shuffle=True, keep_tokens=1)
    assert (first.captions, first.repeats, first.policy, first.augmentation.flip) == (("sks dog, on grass",), 3, policy, True)
    assert first.bucket.size == (96, 32) and not first.regularisation
    assert (second.name, second.captions, second.regularisation, second.policy.keep_tokens) == ("c.png", ("dog",), True, 0)
    assert third.bucket.size == (32, 64) and len(dataset.examples) == 4
    assert "batch_size of the dataset configuration is not used" in table


def test_everything_that_a_configuration_cannot_have_is_told_at_once(home) -> None:
    text = """
    [general]
    network_multiplier = 1.0
    keep_tokens = "one"
    [[datasets]]
    vae_batch_size = 1
    [[datasets.subsets]]
    num_repeats = 2
    color_augmentation = true
    """
    caption(home / "data/datasets/bad.toml", text)
    with pytest.raises(InvalidInput) as caught:
        dataset_from_config(context(home), "bad.toml")
    for part in (
        "5 entries",
        "general.network_multiplier is not supported",
        "general.keep_tokens is 'one', not a whole number",
        "datasets[0].vae_batch_size is not supported",
        "datasets[0].subsets[0].color_augmentation is not supported",
        "datasets[0].subsets[0] has no image_dir",
    ):
        assert part in caught.value.message


def test_faces_of_a_configuration_of_kohya(home) -> None:
    """Their place is in the pictures' names, their captions may be named without it."""
    folder = home / "data/datasets/faces"
    picture(folder / "anna_0040_0030_0010_0012.png", 128, 64, seed=1)
    caption(folder / "anna.txt", "sks person")
    text = '[[datasets]]\nresolution = 32\n[[datasets.subsets]]\nimage_dir = "faces"\nface_crop_aug_range = "2.0,3.0"\n'
    caption(home / "data/datasets/faces.toml", text)
    dataset, table = dataset_from_config(context(home), "faces.toml")
    assert dataset.examples[0].captions == ("sks person",) and "Captions without a picture" not in table
    assert dataset.examples[0].augmentation.face == FaceCrop(2.0, 3.0)
    for wrong in ("4.0,2.0", "0.5,2", "2", "a,b", "nan,nan", "2,inf", "2,3,4"):
        caption(home / "data/datasets/faces.toml", text.replace("2.0,3.0", wrong))
        with pytest.raises(InvalidInput, match="The range of cuts around a face"):
            dataset_from_config(context(home), "faces.toml")
    caption(home / "data/datasets/faces.toml", text + "random_crop = true")
    with pytest.raises(InvalidInput, match="random_crop has no effect on cuts around a face"):
        dataset_from_config(context(home), "faces.toml")
    picture(folder / "ben.png", 64, 64, seed=2)
    caption(folder / "ben.txt", "sks person")
    caption(home / "data/datasets/faces.toml", text)
    with pytest.raises(InvalidInput, match=r"1 pictures are to be cut around a face, and their names tell of none: ben\.png"):
        dataset_from_config(context(home), "faces.toml")


def test_metadata_and_a_share_for_validation_of_a_configuration(home) -> None:
    """kohya names the file by a path of its machine; here it lies in the folder."""
    for number in range(4):
        picture(home / f"data/datasets/tuned/{number}.png", 64, 64, seed=number)
    described = {f"/old/home/tuned/{number}.png": {"caption": "a thing", "tags": f"number {number}"} for number in range(4)}
    known = {key.removeprefix("/old/home/tuned/"): entry for key, entry in described.items()}
    caption(home / "data/datasets/tuned/meta.json", json.dumps(known))
    text = 'image_dir = "tuned"\nmetadata_file = "/old/home/tuned/meta.json"'
    caption(home / "data/datasets/c.toml", f"[general]\nvalidation_split = 0.25\n[[datasets]]\n[[datasets.subsets]]\n{text}")
    dataset, table = dataset_from_config(context(home), "c.toml")
    assert [example.captions for example in dataset.examples] == [(f"a thing, number {number}",) for number in range(4)]
    assert sum(example.held_out for example in dataset.examples) == 1 and table.count("held out") == 1


def test_a_share_of_the_pictures_is_held_out_and_copies_stay_together(home) -> None:
    for number in range(10):
        picture(home / f"data/datasets/many/{number}.png", 64, 64, seed=number // 2)
    dataset = dataset_from_folder(context(home), "many", trigger="x").dataset
    split, table = validation_split(dataset, share=0.4, seed=3)
    kept = {example.digest for example in split.examples if example.held_out}
    assert len(kept) == 2 and not kept & {example.digest for example in split.examples if not example.held_out}
    assert table.count("held out") == 4
    assert validation_split(dataset, share=0.4, seed=3).dataset == split
    assert any(validation_split(dataset, share=0.4, seed=seed).dataset != split for seed in range(4, 9))
    with pytest.raises(InvalidInput, match="none trained on"):
        validation_split(replace(dataset, examples=dataset.examples[:2]), share=0.5)


@pytest.mark.parametrize("text", ["[[datasets]", "datasets = 3", "[datasets]", "", "[[datasets]]\nsubsets = 1"])
def test_what_is_no_configuration_is_refused(home, text: str) -> None:
    caption(home / "data/datasets/bad.toml", text)
    with pytest.raises(InvalidInput):
        dataset_from_config(context(home), "bad.toml")


def test_a_configuration_is_read_again_when_a_picture_it_names_changes(home) -> None:
    caption(home / "data/datasets/c.toml", '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "mine"\nclass_tokens = "x"')
    fingerprint = dataset_from_config.definition.fingerprint
    before = fingerprint(ctx=context(home), config="c.toml")
    assert fingerprint(ctx=context(home), config="c.toml") == before
    picture(home / "data/datasets/mine/a.png", 72, 64, seed=9)
    assert fingerprint(ctx=context(home), config="c.toml") != before


def test_a_folder_that_is_not_there_is_told(home) -> None:
    caption(home / "data/datasets/c.toml", '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "nowhere"')
    with pytest.raises(MissingFile, match="nowhere"):
        dataset_from_config(context(home), "c.toml")
