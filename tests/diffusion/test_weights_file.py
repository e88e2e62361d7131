"""Headers of safetensors files: what is right is read, what is wrong is named."""

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from engine.diffusion.weights_file import HEADER_LIMIT, read_header
from engine.errors import EaselError, MissingFile, ModelFormatError


def raw(path: Path, header, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(start: int, end: int, shape=None, dtype="U8") -> dict:
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


def test_a_file_of_the_safetensors_library_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {
        "b": torch.ones(2, 3, dtype=torch.float16),
        "a": torch.zeros(4, dtype=torch.int64),
        "none": torch.empty(0, 5),
        "one": torch.tensor(1.0),
    }
    save_file(tensors, path, {"note": "hello"})
    file = read_header(path)
    assert {name: info.shape for name, info in file.tensors.items()} == {name: tuple(value.shape) for name, value in tensors.items()}
    assert file.metadata == {"note": "hello"}
    info = file.tensors["b"]
    assert path.read_bytes()[info.start : info.end] == tensors["b"].numpy().tobytes()


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingFile, match=r"nothing\.safetensors"):
        read_header(tmp_path / "nothing.safetensors")


WRONG = {
    "empty": (b"", "is empty"),
    "pickle": (b"\x80\x02}q\x00.", "a Python pickle"),
    "zip": (b"PK\x03\x04" + bytes(60), "zip archive"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
    "web page": (b"<!DOCTYPE html><html></html>", "web page"),
    "gguf": (b"GGUF" + bytes(60), "GGUF"),
    "noise": (bytes(range(200)), "not a safetensors file"),
    "short": (b"\x10\x00\x00", "not a safetensors file"),
    "huge header": (struct.pack("<Q", HEADER_LIMIT + 1) + b"{}", "claims a header"),
    "header beyond the end": (struct.pack("<Q", 1000) + b'{"a": 1}', "truncated"),
    "negative length": (b"\xff" * 8 + b"{}", "claims a header"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_safetensors_file_is_named(tmp_path, what):
    content, message = WRONG[what]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=message) as caught:
        read_header(path)
    assert f"{path.parent.name}/{path.name}" in caught.value.message and str(path) not in caught.value.message
    assert caught.value.hint


BAD_HEADERS = {
    "no JSON": (b'{"a": ', "not valid JSON"),
    "no UTF-8": (b'{"\xff": 1}', "not valid JSON"),
    "nested a million deep": (b'{"a":' + b"[" * 1_000_000, "not valid JSON"),
    "name twice": (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "twice"),
    "entry is a number": ({"a": 1}, "not a table"),
    "unknown type": ({"a": entry(0, 4, dtype="F7")}, "unknown type 'F7'"),
    "type is a list": ({"a": entry(0, 4, dtype=["F32"])}, "unknown type"),
    "negative extent": ({"a": entry(0, 4, [-2, -2])}, "no valid shape"),
    "extent is true": ({"a": entry(0, 1, [True])}, "no valid shape"),
    "fractional offset": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4.0]}}, "no valid shape"),
    "three offsets": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]}}, "no valid shape"),
    "shape and bytes differ": ({"a": entry(0, 4, [3])}, "cannot lie in bytes"),
    "end before start": ({"a": entry(4, 0, [0])}, "cannot lie in bytes"),
    "gigantic": ({"a": entry(0, 4, [2**62, 2**62])}, "cannot lie in bytes"),
    "overlap": ({"a": entry(0, 3), "b": entry(2, 4)}, "overlap"),
    "same place twice": ({"a": entry(0, 4), "b": entry(0, 4)}, "overlap"),
    "hole": ({"a": entry(0, 1), "b": entry(2, 4)}, "hole"),
    "hole at the start": ({"a": entry(1, 4)}, "hole"),
    "bytes left over": ({"a": entry(0, 3)}, "belong to nothing"),
    "truncated": ({"a": entry(0, 400)}, "truncated"),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "a": entry(0, 4)}, "__metadata__"),
}


@pytest.mark.parametrize("what", BAD_HEADERS)
def test_a_header_that_contradicts_itself_or_the_file_is_refused(tmp_path, what):
    header, message = BAD_HEADERS[what]
    path = raw(tmp_path / "model.safetensors", header, b"\0\0\0\0")
    with pytest.raises(ModelFormatError, match=message) as caught:
        read_header(path)
    assert f"{path.parent.name}/{path.name}" in caught.value.message and str(path) not in caught.value.message


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.safetensors"
    save_file({"a": torch.ones(3), "b": torch.zeros(2, 2, dtype=torch.float16)}, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        file = read_header(path)
    except EaselError as error:
        assert path.name in error.message and str(path) not in error.message
    else:
        assert all(0 < info.start <= info.end <= file.size for info in file.tensors.values())
