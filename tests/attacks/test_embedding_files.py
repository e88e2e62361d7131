"""Embedding files from strangers: nothing of them runs, and none of them takes much memory or time."""

import os
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.text.embedding_files import LARGEST_FILE, load_embedding
from engine.errors import MissingFile, ModelFormatError


class Payload:
    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_pickle_does_not_run(tmp_path):
    marker = tmp_path / "marker"
    for number, legacy in enumerate((True, False)):
        path = tmp_path / f"{number}.pt"
        torch.save({"string_to_param": {"*": Payload(marker)}}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ModelFormatError, match="without running code"):
            load_embedding(path)
    assert not marker.exists()


CONTENTS = {
    "no tensor": {"string_to_param": {"*": "text"}},
    "nothing": {},
    "a list of texts": ["a", "b"],
    "a text": "hello",
    "too many vectors": {"x": torch.zeros(1, 8).expand(2**40, 8)},
    "too wide": {"x": torch.zeros(1, 1).expand(1, 2**40)},
    "not finite": {"x": torch.full((1, 8), float("nan"))},
    "no rows": {"x": torch.zeros(0, 8)},
    "three dimensions": {"string_to_param": {"*": torch.zeros(1, 2, 3)}},
    "sparse": {"x": torch.zeros(2, 8).to_sparse()},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_what_is_no_embedding_is_refused_by_name(tmp_path, content):
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ModelFormatError, match=r"odd\.pt"):
        load_embedding(tmp_path / "odd.pt")


@pytest.mark.parametrize("tensors", [{"x": torch.zeros(1, 2, 3)}, {"x": torch.zeros(2, 8, dtype=torch.int64)}, {}])
def test_safetensors_without_vectors_are_refused(tmp_path, tensors):
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(ModelFormatError, match=r"odd\.safetensors"):
        load_embedding(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x02.", b"PK\x03\x04", b"<html>", os.urandom(512), b"\x80\x02]" + b"(" * 10_000])
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
def test_rubbish_is_refused(tmp_path, data, suffix):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(data)
    with pytest.raises(ModelFormatError):
        load_embedding(path)


def test_an_archive_that_unpacks_to_much_more_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
        with archive.open("archive/data/0", "w", force_zip64=True) as entry:
            for _ in range(LARGEST_FILE // 2**20 + 1):
                entry.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(ModelFormatError, match="unpacks to"):
        load_embedding(path)


def test_a_large_file_is_refused_unread(tmp_path):
    path = tmp_path / "large.pt"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(ModelFormatError, match="over the limit"):
        load_embedding(path)


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "header.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ModelFormatError):
        load_embedding(path)


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"gone\.pt"):
        load_embedding(tmp_path / "gone.pt")
