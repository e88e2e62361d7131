"""Preparing: what is encoded, what is kept, and that exactly what changed is made again. On a small random VAE and text encoder."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.diffusion import vae as autoencoder
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.encode import encode
from engine.diffusion.training.batches import Batches
from engine.diffusion.training.buckets import BucketPlan, with_buckets
from engine.diffusion.training.entry_cache import EntryCache, paths_of
from engine.diffusion.training.training_set import prepare
from engine.errors import InvalidInput
from engine.graph.ports import port_named
from engine.values.dataset import Augmentation, CaptionPolicy, Dataset
from tests.diffusion import small_checkpoint
from tests.diffusion.training.drawn import caption, picture, read

PLAN = BucketPlan(64, 64, 32, 128, 32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "fp32"))


class Studio:
    """Prepares one folder of pictures again and again and tells how many entries were made."""

    def __init__(self, folder: Path, memory: Memory, checkpoint) -> None:
        self.folder, self.memory, self.checkpoint = folder, memory, checkpoint
        for number, name in enumerate("abc"):
            picture(folder / "set" / f"{name}.png", 72, 64, seed=number)
            caption(folder / "set" / f"{name}.txt", f"sks, {name}, x, y")
        self.policy, self.augmentation, self.plan = CaptionPolicy(), Augmentation(), PLAN
        self.vae, self.clip = checkpoint.vae, checkpoint.clip
        self.set = None

    def dataset(self) -> Dataset:
        return with_buckets(read(self.folder / "set", policy=self.policy, augmentation=self.augmentation), self.plan)

    def made(self, **options) -> int:
        cache = EntryCache(self.folder / "cache")
        self.set = prepare(self.memory, self.dataset(), self.vae, self.clip, cache, **options)
        assert cache.made + cache.found >= len(paths_of(self.set))
        return cache.made


@pytest.fixture
def studio(tmp_path, memory, checkpoint) -> Studio:
    return Studio(tmp_path, memory, checkpoint)


def test_exactly_what_changed_is_made_again(studio, checkpoint, tmp_path) -> None:
    assert studio.made() == 3 + 3
    assert studio.made() == 0
    picture(studio.folder / "set/b.png", 72, 64, seed=99)
    assert studio.made() == 1
    caption(studio.folder / "set/a.txt", "sks, another")
    assert studio.made() == 1
    studio.plan = replace(PLAN, rule="one_size")
    assert studio.made() == 0  # the same bucket, 64 x 64
    studio.plan = BucketPlan(32, 32, 32, 64, 32)
    assert studio.made() == 3
    studio.augmentation = Augmentation(flip=True)
    assert studio.made() == 3  # the mirrored ones
    studio.policy = CaptionPolicy(dropout=0.1)
    assert studio.made() == 1  # the empty caption
    studio.policy = CaptionPolicy()
    other = small_checkpoint.tensors()
    name = next(name for name in other if name.startswith("first_stage_model.quant_conv"))
    other[name] = other[name] + 1
    other = load_checkpoint(small_checkpoint.write(tmp_path / "other.safetensors", other))
    studio.vae = other.vae
    assert studio.made() == 6
    studio.clip = studio.clip.with_skip(-2)
    assert studio.made() == 3
    studio.memory = Memory(choose("cpu", "bf16"))
    assert studio.made() == 9  # the text encoder's weights are rounded there
    studio.memory = Memory(choose("cpu", "fp32"))
    assert studio.made() == 0


def test_damaged_entries_are_made_again(studio) -> None:
    studio.made()
    first, second, *_ = sorted(Path(path) for path in paths_of(studio.set))
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:100])
    assert studio.made() == 2
    assert studio.made() == 0


def test_latents_are_what_the_vae_says_of_the_cut(studio) -> None:
    studio.augmentation = Augmentation(flip=True)
    studio.made()
    pixels = torch.from_numpy(np.array(Image.open(studio.folder / "set/a.png"))).float()[None, :, 4:68] / 255
    for flip, path in enumerate(studio.set.latents[0]):
        mean, logvar = autoencoder.posterior(studio.memory, studio.vae, pixels.flip(2) if flip else pixels)
        entry = load_file(path)
        assert torch.equal(entry["mean"], mean[0]) and torch.equal(entry["logvar"], logvar[0])


def test_texts_are_what_the_text_encoder_says(studio) -> None:
    studio.made()
    batch = Batches(studio.set, batch_size=3, seed=0).batch(0)
    for row, text in enumerate(batch.captions):
        condition = encode(studio.memory, studio.clip, text)[0]
        assert torch.equal(batch.context[row], condition.context[0]) and torch.equal(batch.pooled[row], condition.pooled[0])


def test_captions_that_vary_are_kept_as_draws_and_their_batches_have_texts(studio) -> None:
    studio.policy = CaptionPolicy(shuffle=True, keep_tokens=1, dropout=0.2)
    assert studio.made(caption_variants=4) <= 3 + 3 * 4 + 1
    kept = set(studio.set.texts)
    assert "" in kept and all(text.startswith("sks, ") for text in kept if text)
    batches = Batches(studio.set, batch_size=2, seed=1)
    drawn = {text for step in range(200) for text in batches.batch(step).captions}
    assert drawn == kept
    with pytest.raises(InvalidInput, match="vary with each draw"):
        studio.made(caption_variants=0)
    studio.policy = CaptionPolicy(warmup_steps=5)
    with pytest.raises(InvalidInput, match="warmup_steps"):
        studio.made()


def test_without_a_text_encoder_each_draw_is_new(studio) -> None:
    studio.clip, studio.policy = None, CaptionPolicy(shuffle=True)
    assert studio.made() == 3
    batches = Batches(studio.set, batch_size=1, seed=1)
    assert batches.batch(0).context is None
    assert len({text for step in range(300) for text in batches.batch(step).captions}) > 40


def test_masks_are_prepared_with_their_pictures(studio) -> None:
    levels = np.zeros((64, 72), dtype=np.uint8)
    levels[:, :36] = 255
    (studio.folder / "masks").mkdir()
    Image.fromarray(levels).save(studio.folder / "masks/a.png")
    studio.dataset = lambda: with_buckets(masked(studio.folder), PLAN)
    studio.made()
    entries = [load_file(paths[0]) for paths in studio.set.latents]
    assert entries[0]["mask"][0].tolist() == [[1] * 4 + [0] * 4] * 8 and "mask" not in entries[1]
    assert studio.made() == 0
    levels[:] = 255
    Image.fromarray(levels).save(studio.folder / "masks/a.png")
    assert studio.made() == 1
    batch = Batches(studio.set, batch_size=3, seed=0).batch(0)
    assert batch.mask.shape == (3, 1, 8, 8) and batch.mask.min() == 1


def masked(folder: Path) -> Dataset:
    from tests.diffusion.training.drawn import folder as listing

    return read(folder / "set", masks="folder", mask_folder=listing(folder / "masks"))


def test_a_vae_that_gives_no_numbers_is_told_by_picture(studio, monkeypatch) -> None:
    broken = itertools.chain([float("nan")], itertools.repeat(0.0))

    def posterior(memory, vae, pixels):
        mean, logvar = autoencoder.posterior(memory, vae, pixels)
        return mean + next(broken), logvar

    monkeypatch.setattr("engine.diffusion.training.training_set.posterior", posterior)
    with pytest.raises(InvalidInput, match=r"1 pictures.*a\.png: the VAE gives numbers that are not finite"):
        studio.made()


def test_a_picture_that_changed_meanwhile_is_told_by_name(studio, monkeypatch) -> None:
    dataset = studio.dataset()
    picture(studio.folder / "set/c.png", 72, 64, seed=50)
    studio.dataset = lambda: dataset
    with pytest.raises(InvalidInput, match=r"c\.png: .*has changed"):
        studio.made()


def test_a_set_of_regularisation_only_is_refused(studio) -> None:
    dataset = studio.dataset()
    only = replace(dataset, examples=tuple(replace(example, regularisation=True) for example in dataset.examples))
    studio.dataset = lambda: only
    with pytest.raises(InvalidInput, match="no picture to train on"):
        studio.made()


def test_old_entries_leave_when_there_is_no_room_but_none_in_use(studio) -> None:
    studio.made()
    kept = studio.set
    abandoned = [studio.folder / f"cache/zz/{number}.safetensors" for number in range(3)]
    abandoned[0].parent.mkdir()
    for path in abandoned:
        path.write_bytes(b"x" * 1000)
    cache = EntryCache(studio.folder / "cache", limit=1)
    studio.clip = None
    other = prepare(studio.memory, studio.dataset(), studio.vae, None, cache)
    assert not any(path.exists() for path in abandoned)
    assert all(Path(path).exists() for path in paths_of(kept) | paths_of(other))


def test_a_training_set_is_stored_as_names_and_made_again_when_a_file_is_gone(studio) -> None:
    studio.made()
    codec = port_named("TRAINING_SET").codec
    found = codec.decode(*codec.encode(studio.set))
    assert (found.dataset, found.cuts, found.latents, found.texts) == (
        studio.set.dataset, studio.set.cuts, studio.set.latents, studio.set.texts,
    )  # fmt: skip
    Path(studio.set.latents[1][0]).unlink()
    with pytest.raises(Exception, match="is gone"):
        codec.decode(*codec.encode(studio.set))
