"""The header of a safetensors file: which tensors it holds, of what type and shape, and where. Reads no tensor, needs no torch.

Format: https://github.com/huggingface/safetensors: 8 bytes of header length (little endian), a JSON header, then the tensors.
Files come from strangers, so everything the header claims is checked before anything relies on it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import MissingFile, ModelFormatError, named

HEADER_LIMIT = 32 * 2**20
MOST_DIMENSIONS = 16
"""Of one tensor. The product of millions of dimensions would take hours."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as PyTorch writes .ckpt and .pt files",
    b"\x80\x02": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer: the model itself was not downloaded",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b'{"': "JSON text",
}


class TensorInfo(NamedTuple):
    """One tensor of a file: type by its name in the format, and its bytes [start, end) counted from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file as its header describes it. size and modified_ns tell whether it is still the same file."""

    path: Path
    size: int
    modified_ns: int
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> WeightsFile:
    """Read and check a header. Raises MissingFile, or ModelFormatError that names the file and what was found in it."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            start = file.read(64)
            length = int.from_bytes(start[:8], "little")
            _check_start(path, start, length, status.st_size)
            file.seek(8)
            text = file.read(length)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFile(f"There is no model file {named(path)}.", hint="Check the name, or put the file into a model folder.") from error
    except OSError as error:
        raise ModelFormatError(f"{named(path)} cannot be read: {error.strerror}.", hint="Check its permissions and its disk.") from error
    header = _parse(path, text)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its __metadata__ is not a table of texts")
    tensors = {name: _tensor(path, name, entry, 8 + length) for name, entry in header.items()}
    _check_places(path, tensors, 8 + length, status.st_size)
    return WeightsFile(path, status.st_size, status.st_mtime_ns, tensors, metadata)


def _check_start(path: Path, start: bytes, length: int, size: int) -> None:
    if size == 0:
        raise ModelFormatError(f"{named(path)} is empty.", hint="Download it again.")
    for magic, what in OTHER_FORMATS.items():
        if start.startswith(magic):
            raise ModelFormatError(f"{named(path)} is not a safetensors file but {what}.", hint="Use the model's safetensors version.")
    if len(start) < 10 or start[8:9] != b"{" or length < 2:
        raise ModelFormatError(
            f"{named(path)} is not a safetensors file: it starts with {start[:16].hex(' ')}.", hint="Use a .safetensors file."
        )
    if length > HEADER_LIMIT:
        raise ModelFormatError(f"{named(path)} claims a header of {length:,} bytes; at most {HEADER_LIMIT:,} are read.", hint=_AGAIN)
    if 8 + length > size:
        raise ModelFormatError(f"{named(path)} is truncated: its header alone has {length:,} bytes, the file {size:,}.", hint=_AGAIN)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not valid JSON ({error})") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _tensor(path: Path, name: str, entry: Any, base: int) -> TensorInfo:
    if not isinstance(entry, dict):
        raise _damaged(path, f"the entry of tensor {name!r:.200} is not a table")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _damaged(path, f"tensor {name!r:.200} has the unknown type {dtype!r:.50}")
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2 and _counts(shape + offsets)):
        raise _damaged(path, f"tensor {name!r:.200} has no valid shape or place")
    if len(shape) > MOST_DIMENSIONS:
        raise _damaged(path, f"tensor {name!r:.200} has {len(shape)} dimensions")
    start, end = offsets
    if end - start != prod(shape) * BITS[dtype] // 8:
        raise _damaged(path, f"tensor {name!r:.200} of shape {shape!r:.100} and type {dtype} cannot lie in bytes {start} to {end}")
    return TensorInfo(dtype, tuple(shape), base + start, base + end)


def _counts(values: list[Any]) -> bool:
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_places(path: Path, tensors: Mapping[str, TensorInfo], base: int, size: int) -> None:
    """The format asks for tensors side by side: no overlaps, no holes, nothing after the last one."""
    places = sorted(((info.start, info.end, name) for name, info in tensors.items()))
    end = places[-1][1] if places else base
    if end > size:
        raise ModelFormatError(f"{named(path)} is truncated: its tensors end at byte {end:,}, the file has {size:,} bytes.", hint=_AGAIN)
    if end < size:
        raise _damaged(path, f"{size - end:,} bytes after the last tensor belong to nothing")
    for (_, first_end, first), (start, _, second) in _neighbours(base, places):
        if start != first_end:
            what = "overlap" if start < first_end else "leave a hole between them"
            raise _damaged(path, f"{first!r:.200} and {second!r:.200} {what}")


def _neighbours(base: int, places: list[tuple[int, int, str]]) -> Iterator[tuple[tuple[int, int, str], tuple[int, int, str]]]:
    return pairwise([(base, base, "the header"), *places])


_AGAIN = "Download it again; a checksum of the source tells whether it is complete."


def _damaged(path: Path, what: str) -> ModelFormatError:
    return ModelFormatError(f"{named(path)} is damaged: {what}.", hint=_AGAIN)


def tensors_digest(path: Path) -> str:
    """What programs know adapters by: the SHA-256 of the file after its header, in hexadecimal digits.

    Trainers write it into the header as `sshs_model_hash`; it stays the same when the metadata changes.
    """
    file = read_header(path)
    if (known := file.metadata.get("sshs_model_hash", "")) and set(known) <= set("0123456789abcdef"):
        return known
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
