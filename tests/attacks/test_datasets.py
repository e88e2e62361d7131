"""Datasets that try to read what they must not, or to fill the memory."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from engine.diffusion.training import buckets
from engine.diffusion.training.batches import Batches
from engine.diffusion.training.dataset_folder import Folder, Reading, read_folder
from engine.errors import EaselError, InvalidInput, MissingFile, UnsafePath
from engine.graph import Context, Folders, JobInfo
from nodes.dataset import dataset_from_config, dataset_from_folder
from tests.diffusion.training.drawn import caption, picture
from tests.diffusion.training.test_batches import example, training_set


@pytest.fixture
def folders(tmp_path) -> Folders:
    found = Folders(tmp_path / "data")
    found.create()
    picture(found.datasets / "mine/a.png", 64, 64, seed=1)
    picture(tmp_path / "private/secret.png", 64, 64, seed=2)
    picture(found.input / "secret.png", 64, 64, seed=2)
    caption(tmp_path / "private/secret.txt", "not for you")
    return found


@pytest.mark.parametrize(
    "name", ["../input", "..", ".", "", "/etc", "mine/../../input", "mine/..", "C:\\", "~", "mine\x00", "..\\input", "file:///etc"]
)
def test_only_dataset_folders_are_read(folders, name: str) -> None:
    with pytest.raises((UnsafePath, MissingFile)):
        dataset_from_folder(Context(folders=folders), name, trigger="x")
    with pytest.raises((UnsafePath, MissingFile)):
        dataset_from_folder(Context(folders=folders), "mine", trigger="x", masks="folder", mask_folder=name)


@pytest.mark.parametrize("kind", ["absolute", "up", "input", "backslash", "within"])
def test_a_configuration_leads_nowhere_else(folders, tmp_path, kind: str) -> None:
    name = {
        "absolute": str(tmp_path / "private"),
        "up": "../../private",
        "input": str(folders.input),
        "backslash": "..\\\\..\\\\private",
        "within": str(folders.datasets / "mine" / ".." / ".." / "input"),
    }[kind]
    for key in ("image_dir", "conditioning_data_dir"):
        other = 'image_dir = "mine"\n' if key != "image_dir" else ""
        caption(folders.datasets / "c.toml", f'[[datasets]]\n[[datasets.subsets]]\n{other}{key} = "{name}"\nclass_tokens = "x"')
        with pytest.raises((UnsafePath, MissingFile)):
            dataset_from_config(Context(folders=folders), "c.toml")


@pytest.mark.parametrize("name", ["../c.toml", "/etc/passwd", "mine/../../c.toml", "mine"])
def test_only_configurations_in_dataset_folders_are_read(folders, name: str) -> None:
    caption(folders.data / "c.toml", "")
    with pytest.raises((UnsafePath, MissingFile)):
        dataset_from_config(Context(folders=folders), name)


def test_links_that_lead_out_are_not_followed(folders, tmp_path) -> None:
    mine = folders.datasets / "mine"
    (mine / "linked.png").symlink_to(tmp_path / "private/secret.png")
    (mine / "a.txt").symlink_to(tmp_path / "private/secret.txt")
    (mine / "folder").symlink_to(tmp_path / "private")
    (mine / "ring").symlink_to(mine)
    dataset = dataset_from_folder(Context(folders=folders), "mine", trigger="x").dataset
    assert [(example.name, example.captions) for example in dataset.examples] == [("a.png", ("x",))]
    (folders.datasets / "out").symlink_to(tmp_path / "private")
    assert folders.list("datasets") == ("mine",)
    with pytest.raises(UnsafePath):
        dataset_from_folder(Context(folders=folders), "out", trigger="x")


def test_a_bomb_of_pixels_is_refused_undecoded(folders) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (folders.datasets / "mine/bomb.png").write_bytes(bomb)
    with pytest.raises(InvalidInput, match=r"bomb\.png"):
        dataset_from_folder(Context(folders=folders), "mine", trigger="x")
    with pytest.raises(InvalidInput, match="at most 1,000"):
        dataset_from_folder(Context(folders=folders, job=JobInfo(max_pixels=1000)), "mine", trigger="x")


@pytest.mark.parametrize("size", [1_000_001, 3_000_000])
def test_a_configuration_without_end_is_refused(folders, size: int) -> None:
    caption(folders.datasets / "c.toml", "#" * size)
    with pytest.raises(InvalidInput, match="bytes"):
        dataset_from_config(Context(folders=folders), "c.toml")


def test_a_configuration_nested_without_end_is_refused(folders) -> None:
    caption(folders.datasets / "c.toml", "x = " + "[" * 100_000)
    with pytest.raises(EaselError):
        dataset_from_config(Context(folders=folders), "c.toml")


@pytest.mark.parametrize(
    "line",
    [
        "bucket_reso_steps = 0", "bucket_reso_steps = 1000000008", "min_bucket_reso = 0", "max_bucket_reso = 1000000000000",
        "resolution = 1000000000000", "resolution = [8, 1000000000000]", "num_repeats = 0", "num_repeats = 1000000000000",
        "caption_dropout_rate = inf", "caption_tag_dropout_rate = 2", "validation_split = nan", "validation_split = 1",
    ],
)  # fmt: skip
def test_numbers_that_would_divide_by_nothing_or_never_end_are_refused(folders, line: str) -> None:
    name = line.partition(" ")[0]
    general = "[general]\nenable_bucket = true\n" + ("" if name == "resolution" else "resolution = 512\n")
    subset = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "mine"\nclass_tokens = "x"'
    caption(folders.datasets / "c.toml", f"{general}{line}\n{subset}")
    with pytest.raises(InvalidInput, match="cannot be trained at" if name == "resolution" else name):
        dataset_from_config(Context(folders=folders), "c.toml")


def test_captions_with_many_brackets_take_no_time(folders) -> None:
    caption(folders.datasets / "mine/a.txt", "{" * 40_000 + "(" * 40_000)
    assert len(dataset_from_folder(Context(folders=folders), "mine").dataset.examples[0].captions[0]) == 80_000


def test_a_number_of_thousands_of_digits_is_no_configuration(folders) -> None:
    caption(folders.datasets / "c.toml", "[general]\nkeep_tokens = 1" + "0" * 5_000)
    with pytest.raises(InvalidInput, match="no TOML"):
        dataset_from_config(Context(folders=folders), "c.toml")


@pytest.mark.parametrize(
    "entry",
    [
        {"caption": "x\n" * 40_000, "tags": "t" * 90_000},
        {"caption": "x" * 200_000},
        {"caption": "\ud800 half"},
        {"caption": "x", "tags": "\udc00"},
    ],
    ids=["tags for each line", "long", "half a character", "half a tag"],
)
def test_captions_of_a_metadata_file_are_bounded_texts(folders, entry) -> None:
    caption(folders.datasets / "mine/m.json", json.dumps({"a.png": entry}))
    with pytest.raises(InvalidInput, match="not of a known form"):
        dataset_from_folder(Context(folders=folders), "mine", metadata="m.json")


def test_an_epoch_that_no_memory_holds_is_refused(tmp_path) -> None:
    endless = training_set(tmp_path, [example("a", repeats=9_999_990_000)])
    with pytest.raises(InvalidInput, match="An epoch would draw"):
        Batches(endless, batch_size=1, seed=0)


def test_the_finest_buckets_there_are_take_few_comparisons_for_a_picture(monkeypatch) -> None:
    """A grid of a thousand by a thousand sizes."""
    compared: list[float] = []
    cropped = buckets.cropped
    monkeypatch.setattr(buckets, "cropped", lambda *ratios: compared.append(1) or cropped(*ratios))
    plan = buckets.BucketPlan(4096, 4096, 8, 8192, 8)
    assert plan.choose(3000, 2001).size == (5016, 3344)
    assert len(compared) <= 3 * 1024


class CountedName(str):
    """Counts how often a set or a dict looks at a name."""

    __slots__ = ()
    looked = 0

    def __hash__(self) -> int:
        CountedName.looked += 1
        return super().__hash__()


def test_many_files_beside_many_pictures_are_looked_at_a_few_times_each(folders) -> None:
    folder = folders.datasets / "mine"
    for number in range(30):
        picture(folder / f"{number}.png", 8, 8, seed=number)
    names = [f"{number}.png" for number in range(30)] + [f"notes {number}.md" for number in range(3000)]
    CountedName.looked = 0
    read = read_folder(Folder("mine", folder, tuple(map(CountedName, names))), Reading(caption="a shape"), max_pixels=10_000)
    assert len(read.examples) == 30
    assert CountedName.looked < 5 * len(names)
