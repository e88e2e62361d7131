"""Folders as datasets: layouts, captions, masks, and everything a person should hear of before training."""

from __future__ import annotations

import pytest
from PIL import Image

from engine.diffusion.training.dataset_folder import merged
from engine.diffusion.training.tables import dataset_table
from engine.errors import InvalidInput
from engine.graph.ports import port_named
from engine.values.dataset import Dataset
from tests.diffusion.training.drawn import caption, folder, picture, read


def test_a_flat_folder_with_captions_and_a_trigger(tmp_path) -> None:
    picture(tmp_path / "a.png", 40, 20, seed=1)
    picture(tmp_path / "deep/b.JPG", seed=2)
    picture(tmp_path / "c.webp", seed=3)
    caption(tmp_path / "a.txt", "a red thing\nsecond line\n\n")
    caption(tmp_path / "deep/b.caption", "\ufeffa sks shape on white")
    dataset = read(tmp_path, trigger="sks shape", repeats=3)
    assert [(e.name, e.captions, e.repeats) for e in dataset.examples] == [
        ("a.png", ("sks shape, a red thing", "sks shape, second line"), 3),
        ("c.webp", ("sks shape",), 3),
        ("deep/b.JPG", ("a sks shape on white",), 3),
    ]
    assert (dataset.examples[0].width, dataset.examples[0].height) == (40, 20)
    assert dataset.warnings == ("No caption file, unlike others: c.webp",)


def test_numbered_folders_give_repeats_and_the_prompt(tmp_path) -> None:
    picture(tmp_path / "10_sks dog/a.png", seed=1)
    picture(tmp_path / "2_my_old cat/b.png", seed=2)
    caption(tmp_path / "2_my_old cat/b.txt", "a cat")
    picture(tmp_path / "loose.png", seed=3)
    picture(tmp_path / "other/c.png", seed=4)
    picture(tmp_path / "0_off/d.png", seed=5)
    dataset = read(tmp_path, repeats=2)
    assert [(e.name, e.captions, e.repeats) for e in dataset.examples] == [
        ("10_sks dog/a.png", ("sks dog",), 20),
        ("2_my_old cat/b.png", ("a cat",), 4),
    ]
    told = "\n".join(dataset.warnings)
    assert "named N_name: loose.png; other/c.png" in told and "0 repeats: 0_off/d.png" in told


def test_the_layout_can_be_said(tmp_path) -> None:
    picture(tmp_path / "10_sks dog/a.png", seed=1)
    picture(tmp_path / "b.png", seed=2)
    assert [e.repeats for e in read(tmp_path, layout="flat", caption="x").examples] == [1, 1]
    assert [e.name for e in read(tmp_path, layout="flat", caption="x", recursive=False).examples] == ["b.png"]
    assert [e.repeats for e in read(tmp_path, layout="kohya").examples] == [10]


def test_a_picture_turned_by_exif_has_its_sides_swapped(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    picture(tmp_path / "a.jpg", 40, 20, exif=exif)
    (example,) = read(tmp_path, caption="x").examples
    assert (example.width, example.height) == (20, 40)


def test_an_empty_folder_says_what_it_holds_instead(tmp_path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no picture.*empty"):
        read(tmp_path)
    caption(tmp_path / "a.txt", "x")
    caption(tmp_path / "b.pdf", "x")
    with pytest.raises(InvalidInput, match=r"2 files \(\.pdf, \.txt\)"):
        read(tmp_path)


def test_damaged_pictures_and_missing_captions_are_named_all_at_once(tmp_path) -> None:
    picture(tmp_path / "fine.png", seed=1)
    caption(tmp_path / "fine.txt", "x")
    picture(tmp_path / "bare.png", seed=2)
    whole = picture(tmp_path / "cut.jpg", 200, 200, seed=3).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "fake.png").write_bytes(b"no picture")
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path)
    message = caught.value.message
    assert "3 pictures" in message and "cut.jpg" in message and "fake.png" in message and "bare.png: it has no caption" in message
    dataset = read(tmp_path, trigger="sks", skip_damaged=True)
    assert [e.name for e in dataset.examples] == ["bare.png", "fine.png"]
    assert any(w.startswith("Left out, as damaged") and "cut.jpg" in w and "fake.png" in w for w in dataset.warnings)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"x" * 200_000], ids=["no utf-8", "too long"])
def test_captions_that_are_no_captions_are_named(tmp_path, data: bytes) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"a\.txt"):
        read(tmp_path, trigger="sks")


def test_doubtful_things_are_told(tmp_path) -> None:
    picture(tmp_path / "a.png", seed=1)
    picture(tmp_path / "b.png", seed=1)
    picture(tmp_path / "c.png", seed=2)
    caption(tmp_path / "lost.txt", "x")
    told = read(tmp_path, trigger="pinwhl").warnings
    assert "The same picture more than once: a.png = b.png" in told
    assert "Captions without a picture: lost.txt" in told
    assert any("pin + whl" in warning for warning in told)


def test_masks_of_the_same_names(tmp_path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "set" / name, 40, 20, seed=ord(name[0]))
    mask = picture(tmp_path / "masks/a.jpg", 80, 40, seed=9)
    dataset = read(tmp_path / "set", caption="x", masks="folder", mask_folder=folder(tmp_path / "masks", "masks"))
    assert [e.mask and e.mask.path for e in dataset.examples] == [str(mask), None]
    assert dataset.warnings == ("Pictures without a mask, which count whole: b.png",)
    picture(tmp_path / "masks/b.png", 40, 40)
    with pytest.raises(InvalidInput, match=r"mask b\.png: 40 x 40 has another shape"):
        read(tmp_path / "set", caption="x", masks="folder", mask_folder=folder(tmp_path / "masks", "masks"))


def test_masks_that_would_do_nothing_are_refused(tmp_path) -> None:
    picture(tmp_path / "set/a.png")
    picture(tmp_path / "masks/other.png")
    with pytest.raises(InvalidInput, match="transparency"):
        read(tmp_path / "set", caption="x", masks="alpha")
    with pytest.raises(InvalidInput, match="named as one of"):
        read(tmp_path / "set", caption="x", masks="folder", mask_folder=folder(tmp_path / "masks"))


def test_merging_keeps_order_and_tells_of_contradictions(tmp_path) -> None:
    picture(tmp_path / "a.png", seed=1)
    first, second = read(tmp_path, trigger="sks"), read(tmp_path, caption="a dog", regularisation=True, weight=0.5)
    both = merged([second, first])
    assert [(e.regularisation, e.weight) for e in both.examples] == [(True, 0.5), (False, 1.0)] and both.trigger == "sks"
    with pytest.raises(InvalidInput, match="short batches"):
        merged([first, Dataset(second.examples, short_batches="drop")])


def test_the_table_tells_sizes_captions_and_warnings(tmp_path) -> None:
    picture(tmp_path / "a.png", 40, 20, seed=1)
    table = dataset_table(read(tmp_path, trigger="pinwhl"))
    assert "1 pictures, 1 draws per epoch" in table and "a.png: 40 x 20, x1: pinwhl" in table and "Warning: The trigger" in table


def test_a_dataset_is_stored_and_found_again_unless_a_picture_is_gone(tmp_path) -> None:
    path = picture(tmp_path / "a.png")
    dataset = read(tmp_path, trigger="sks")
    codec = port_named("DATASET").codec
    assert codec.decode(*codec.encode(dataset)) == dataset
    path.unlink()
    with pytest.raises(Exception, match="is gone"):
        codec.decode(*codec.encode(dataset))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "meta.json",
            '{"a.png": {"caption": "a dog\\nthe dog", "tags": "red, small"}, "deep/b": {"tags": "blue"}, "gone.png": {"caption": "x"}}',
        ),
        (
            "metadata.jsonl",
            '{"file_name": "a.png", "text": "a dog\\nthe dog", "tags": "red, small"}\n\n'
            '{"image_path": "ROOT/deep/b", "tags": "blue"}\n{"file_name": "gone.png", "caption": "x"}\n',
        ),
    ],
)
def test_captions_of_a_metadata_file(tmp_path, name, text) -> None:
    """They come before files beside the pictures; pictures that it lacks have theirs."""
    picture(tmp_path / "a.png", seed=1)
    picture(tmp_path / "deep/b.png", seed=2)
    picture(tmp_path / "c.png", seed=3)
    caption(tmp_path / "a.txt", "not this")
    caption(tmp_path / "c.txt", "its own")
    caption(tmp_path / name, text.replace("ROOT", tmp_path.as_posix()))
    dataset = read(tmp_path, metadata=name)
    captions = {example.name: example.captions for example in dataset.examples}
    assert captions == {"a.png": ("a dog, red, small", "the dog, red, small"), "deep/b.png": ("blue",), "c.png": ("its own",)}
    assert dataset.warnings == ("In the metadata file without a picture: gone.png",)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"a.png": 3}', '{"a.png": {"caption": 3}}', '{"a.png": {"caption": "x", "tags": []}}', "[" * 100_000, "\udcff"]
)
@pytest.mark.parametrize("name", ["meta.json", "meta.jsonl"])
def test_a_metadata_file_of_another_form_is_refused(tmp_path, name, text) -> None:
    picture(tmp_path / "a.png", seed=1)
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput, match=r"known form|no caption"):
        read(tmp_path, metadata=name)
    with pytest.raises(InvalidInput, match="no metadata file"):
        read(tmp_path, metadata="../" + name)
