"""Batches: the same stream for the same seed, every picture as often as it should be, and what stands in a batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.families import FAMILIES
from engine.diffusion.training.batches import Batch, Batches, stacked_contexts
from engine.errors import InvalidInput, MissingFile
from engine.graph.ports import port_named
from engine.values.dataset import Augmentation, Bucket, CaptionPolicy, Cut, Dataset, Example, TrainingSet
from tests.diffusion.training.test_captions import within_three_sigma

WIDE, SQUARE = Bucket(32, 16, 40, 16), Bucket(16, 16, 16, 16)
POLICY = CaptionPolicy(shuffle=True, keep_tokens=1, tag_dropout=0.2, dropout=0.1)


def example(name: str, bucket: Bucket = SQUARE, **fields) -> Example:
    return Example(name, f"/nowhere/{name}", name, 40, 16, (f"sks, {name}, x, y, z",), bucket=bucket, **{"policy": POLICY, **fields})


def training_set(folder, examples: list[Example], *, texts: bool = False, masks: frozenset[str] = frozenset(), **dataset) -> TrainingSet:
    """Latents that say which picture and which cut they are; no variance."""
    cuts, files = [], []
    for number, item in enumerate(examples):
        bucket = item.bucket
        own = [Cut(bucket.resized_width, bucket.resized_height, 2 * item.augmentation.random_crop, 0, *bucket.size, flip=flip)
               for flip in ((False, True) if item.augmentation.flip else (False,))]  # fmt: skip
        cuts.append(tuple(own))
        paths = []
        for place in range(len(own)):
            mean = torch.full((4, bucket.height // 8, bucket.width // 8), number + place / 10)
            path = folder / f"{number}.{place}.safetensors"
            mask = {"mask": torch.full((1, *mean.shape[1:]), 0.25)} if item.name in masks else {}
            save_file({"mean": mean, "logvar": torch.full_like(mean, -60.0), **mask}, path)
            paths.append(str(path))
        files.append(tuple(paths))
    encoded = None
    if texts:
        encoded = {}
        for number, caption in enumerate({"", *(item.captions[0] for item in examples)}):
            path = folder / f"text{number}.safetensors"
            save_file({"context": torch.full((1, 77, 8), float(number)), "pooled": torch.full((1, 8), float(number))}, path)
            encoded[caption] = str(path)
    return TrainingSet(Dataset(tuple(examples), **dataset), tuple(cuts), tuple(files), encoded, 16 if texts else 0)


@pytest.fixture
def mixed(tmp_path) -> TrainingSet:
    flip = Augmentation(flip=True)
    return training_set(
        tmp_path,
        [
            example("a", repeats=3),
            example("b", WIDE, augmentation=flip),
            example("c", WIDE, augmentation=flip),
            example("d", augmentation=flip),
        ],
    )


def same(one: Batch, other: Batch) -> bool:
    return one.captions == other.captions and one.examples == other.examples and torch.equal(one.latents, other.latents)


def test_a_step_is_the_same_whatever_was_drawn_before(mixed) -> None:
    first, second = (Batches(mixed, batch_size=2, seed=5) for _ in range(2))
    stream = [first.batch(step) for step in range(20)]
    assert all(same(second.batch(step), stream[step]) for step in (19, 3, 11, 0, 12))


def test_another_seed_is_another_stream(mixed) -> None:
    streams = [[tuple(Batches(mixed, batch_size=2, seed=seed).batch(step).captions) for step in range(8)] for seed in (1, 2)]
    assert streams[0] != streams[1]


def test_an_epoch_holds_each_picture_as_often_as_it_repeats(mixed) -> None:
    batches = Batches(mixed, batch_size=2, seed=5)
    assert batches.epoch_length == 3  # four draws of squares, two of wide ones
    orders = []
    for epoch in range(6):
        seen = [batches.draws(epoch * 3 + position) for position in range(3)]
        assert Counter(draw.example for batch in seen for draw in batch) == {0: 3, 1: 1, 2: 1, 3: 1}
        assert all(len({mixed.dataset.examples[draw.example].bucket for draw in batch}) == 1 for batch in seen)
        orders.append([draw.example for batch in seen for draw in batch])
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize(("rule", "sizes"), [("keep", [2, 2, 1]), ("fill", [2, 2, 2]), ("drop", [2, 2]), ("scale", [2, 2, 1])])
def test_short_batches(tmp_path, rule: str, sizes: list[int]) -> None:
    batches = Batches(training_set(tmp_path, [example(name) for name in "abcde"], short_batches=rule), batch_size=2, seed=0)
    epoch = [batches.batch(step) for step in range(batches.epoch_length)]
    assert sorted((len(batch.captions) for batch in epoch), reverse=True) == sizes
    for batch in epoch:
        assert batch.weight.tolist() == [0.5 if rule == "scale" and len(batch.captions) == 1 else 1.0] * len(batch.captions)
    if rule == "fill":
        assert set(Counter(number for batch in epoch for number in batch.examples).values()) == {1, 2}


def test_buckets_without_a_full_batch_are_told(tmp_path) -> None:
    with pytest.raises(InvalidInput, match="No bucket holds a full batch of 4"):
        Batches(training_set(tmp_path, [example("a")], short_batches="drop"), batch_size=4, seed=0)


@pytest.mark.parametrize(("subjects", "others"), [(6, 2), (4, 9), (3, 3), (1, 7)])
def test_regularisation_comes_as_often_as_the_subject_and_all_of_it(tmp_path, subjects: int, others: int) -> None:
    examples = [example(f"s{n}", WIDE if n % 2 else SQUARE) for n in range(subjects)]
    examples += [example(f"r{n}", WIDE if n % 3 else SQUARE, regularisation=True, weight=0.3) for n in range(others)]
    batches = Batches(training_set(tmp_path, examples), batch_size=1, seed=0)
    assert batches.epoch_length == 2 * subjects
    seen = Counter(number for step in range(batches.epoch_length * others) for number in batches.batch(step).examples)
    assert seen == Counter({number: others if number < subjects else subjects for number in range(subjects + others)})
    batch = next(batch for step in range(99) if (batch := batches.batch(step)).is_regularisation[0])
    assert batch.weight.tolist() == pytest.approx([0.3])


def test_steps_are_found_in_epochs_of_unequal_length(tmp_path) -> None:
    examples = [example(name) for name in "abc"] + [example(f"r{n}", WIDE if n % 2 else SQUARE, regularisation=True) for n in range(3)]
    batches = Batches(training_set(tmp_path, [*examples, example("r3", WIDE, regularisation=True)]), batch_size=2, seed=0)
    places = [batches.locate(step) for step in range(60)]
    lengths = Counter(epoch for epoch, _ in places[:-5])
    assert len(set(list(lengths.values())[:-1])) > 1
    assert places == sorted(places) and all(place[1] < 4 for place in places)
    assert Batches(batches.training_set, batch_size=2, seed=0).locate(59) == places[59]
    assert all(1 <= len(batches.batch(step).captions) <= 2 for step in range(60))


def test_pictures_are_mirrored_half_the_time_and_captions_dropped_at_their_rate(mixed) -> None:
    batches = Batches(mixed, batch_size=2, seed=3)
    draws = [draw for step in range(3000) for draw in batches.draws(step)]
    flippable = [draw for draw in draws if draw.example != 0]
    assert within_three_sigma(sum(draw.cut == 1 for draw in flippable), len(flippable), 0.5)
    assert within_three_sigma(sum(draw.caption == "" for draw in draws), len(draws), 0.1)
    assert all(draw.caption.startswith("sks") for draw in draws if draw.caption)
    assert len({draw.seed for draw in draws}) == len(draws)


def test_what_a_batch_holds(tmp_path) -> None:
    made = training_set(
        tmp_path,
        [example("a", WIDE, augmentation=Augmentation(flip=True, random_crop=True), policy=CaptionPolicy()),
         example("b", WIDE, policy=CaptionPolicy(), weight=0.5)],
        texts=True, masks=frozenset("a"),
    )  # fmt: skip
    batches = Batches(made, batch_size=2, seed=0)
    flips = set()
    for step in range(8):
        batch = batches.batch(step)
        a = batch.examples.index(0)
        flipped = batches.draws(step)[a].cut
        flips.add(flipped)
        scaled = FAMILIES["sd15"].latent_format.process_in(torch.full((4, 2, 4), flipped / 10))
        assert torch.allclose(batch.latents[a], scaled, atol=1e-6) and batch.latents.dtype == torch.float32
        assert batch.captions[a] == "sks, a, x, y, z"
        assert batch.context.shape == (2, 77, 8) and batch.pooled.shape == (2, 8)
        assert batch.mask[a].unique().tolist() == [0.25] and batch.mask[1 - a].unique().tolist() == [1.0]
        assert batch.weight[1 - a] == 0.5 and not batch.is_regularisation.any()
        assert batch.original_size.tolist() == [[16, 40]] * 2 and batch.target_size.tolist() == [[16, 32]] * 2
        assert batch.crop[a].tolist() == [0, 6 if flipped else 2]
    assert flips == {0, 1}


def test_latents_are_drawn_from_the_posterior(tmp_path) -> None:
    made = training_set(tmp_path, [example("a", policy=CaptionPolicy())])
    save_file({"mean": torch.full((4, 2, 2), 3.0), "logvar": torch.full((4, 2, 2), 2.0)}, made.latents[0][0])
    batches = Batches(made, batch_size=1, seed=0)
    values = torch.cat([batches.batch(step).latents.flatten() for step in range(500)]) / 0.18215
    assert values.mean() == pytest.approx(3, abs=0.12) and values.std() == pytest.approx(torch.e, abs=0.1)


def test_contexts_of_unequal_length_are_repeated_whole() -> None:
    one, two = torch.randn(1, 77, 4), torch.randn(1, 154, 4)
    both = stacked_contexts([one, two])
    assert both.shape == (2, 154, 4) and torch.equal(both[0], one[0].repeat(2, 1)) and torch.equal(both[1], two[0])
    query = torch.randn(1, 5, 4)
    attend = torch.nn.functional.scaled_dot_product_attention
    assert torch.allclose(attend(query, one, one), attend(query, both[:1], both[:1]), atol=1e-6)


def test_a_file_that_is_gone_is_told_and_never_stored(mixed) -> None:
    codec = port_named("TRAINING_SET").codec
    with pytest.raises(MissingFile):  # the pictures of this set do not exist
        codec.decode(*codec.encode(mixed))
    batches = Batches(mixed, batch_size=1, seed=0)
    gone = replace(mixed, latents=tuple(tuple(f"{path}.gone" for path in paths) for paths in mixed.latents))
    batches.batch(0)
    with pytest.raises(MissingFile, match="cannot be read"):
        Batches(gone, batch_size=1, seed=0).batch(0)


def test_the_table_counts(mixed) -> None:
    lines = Batches(mixed, batch_size=3, seed=0).describe().splitlines()
    assert lines[1].split() == ["16", "x", "16", "2", "4", "0", "2", "1"]
    assert lines[2].split() == ["32", "x", "16", "2", "2", "0", "1", "2"]
    assert lines[3] == "3 batches of 3 are one epoch"
