"""Files of learned embeddings (textual inversion, Gal et al. 2022): reading the forms in circulation, writing safetensors.

Forms: safetensors with `emb_params`, with one tensor per encoder (`clip_l`, `clip_g`, ...) or with a single tensor of any name;
AUTOMATIC1111's pickled tables with `string_to_param`; diffusers' pickled `{token: tensor}`, also in a list.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.checkpoint_files import Place
from engine.diffusion.loading import DTYPES, Reader
from engine.diffusion.weights_file import read_header
from engine.errors import MissingFile, ModelFormatError, named
from engine.values.embedding import ANY_ENCODER, Embedding

SUFFIXES = (".safetensors", ".pt", ".bin")
"""In the order in which they are tried for a name without one."""
ENCODERS = ("clip_l", "clip_g", "clip_h", "t5xxl")
WIDTHS = {768: "clip_l", 1280: "clip_g", 1024: "clip_h", 4096: "t5xxl"}
LARGEST_FILE = 64 * 2**20
MOST_VECTORS = 1_000
MOST_WIDTH = 16_384
_ANOTHER = "Download it again, or use another embedding."


def load_embedding(path: Path, name: str | None = None) -> Embedding:
    """Read an embedding file; it gets the file's name without its ending, or `name`. Raises MissingFile, ModelFormatError."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise MissingFile(f"There is no embedding file {named(path)}.", hint="Check the name, or put it into models/embeddings.") from error
    if size > LARGEST_FILE:
        raise _bad(path, f"has {size:,} bytes, over the limit of {LARGEST_FILE:,}", "This is no embedding; look for another file.")
    tensors, metadata = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path), {})
    vectors = _by_encoder({key: _rows(path, value) for key, value in tensors.items()})
    if not vectors:
        raise _bad(path, "holds no vectors")
    return Embedding(name or path.stem, vectors, metadata)


def save_embedding(path: Path, embedding: Embedding) -> None:
    """Write safetensors as trainers do: `emb_params` for one encoder, else a tensor per encoder. ComfyUI, A1111 and diffusers read both."""
    only = embedding.vectors.keys() & {ANY_ENCODER, "clip_l", "clip_h"} if len(embedding.vectors) == 1 else ()
    tensors = {
        "emb_params" if encoder in only else encoder: value.detach().clone().contiguous() for encoder, value in embedding.vectors.items()
    }
    save_file(tensors, path, {**embedding.metadata, "name": embedding.name})


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    file = read_header(path)
    reader, cpu = Reader(), torch.device("cpu")
    tensors = {name: reader.read(Place(file, info), DTYPES[info.dtype], cpu) for name, info in file.tensors.items()}
    return tensors, file.metadata


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """What torch.load gives with code switched off, so that a file from a stranger can make tensors and tables but run nothing."""
    _check_unpacked_size(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever a damaged or hostile file makes its readers raise
        reason = str(error).strip().split("\n")[0][:200]
        raise _bad(path, f"cannot be read without running code from it ({type(error).__name__}: {reason})", _ANOTHER) from error
    tables = found if isinstance(found, list) else [found]
    if not all(isinstance(table, dict) for table in tables):
        raise _bad(path, "is no table of tensors")
    if len(tables) == 1 and isinstance(parameters := tables[0].get("string_to_param"), dict):
        first = next((value for value in parameters.values() if isinstance(value, Tensor)), None)
        return {} if first is None else {"": first}
    return dict(_named_tensors(tables))


def _named_tensors(tables: list[dict[Any, Any]]) -> Iterator[tuple[str, Tensor]]:
    for number, table in enumerate(tables):
        for key, value in table.items():
            if isinstance(value, Tensor):
                yield (str(key) if len(tables) == 1 else f"{number}.{key}"), value


def _check_unpacked_size(path: Path) -> None:
    """A zip archive says how large its parts become; torch does not look before it unpacks them."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _bad(path, f"is a damaged archive ({error})") from error
    if total > LARGEST_FILE:
        raise _bad(path, f"unpacks to {total:,} bytes, over the limit of {LARGEST_FILE:,}")


def _rows(path: Path, value: Tensor) -> Tensor:
    """Vectors [n, D] float32. A tensor of a pickle may claim any shape over little storage, so its shape is checked before it is copied."""
    rows = value[None] if value.ndim == 1 else value
    if rows.ndim != 2 or not 1 <= rows.shape[0] <= MOST_VECTORS or not 1 <= rows.shape[1] <= MOST_WIDTH:
        raise _bad(path, f"has vectors of shape {list(value.shape)}; at most {MOST_VECTORS:,} of width {MOST_WIDTH:,} are read")
    if rows.layout != torch.strided or not rows.is_floating_point():
        raise _bad(path, f"has a tensor of type {rows.dtype}, {rows.layout}, which is no list of vectors")
    vectors = rows.detach().to(torch.float32).clone()
    if not vectors.isfinite().all():
        raise _bad(path, "has vectors with numbers that are not finite")
    return vectors


def _by_encoder(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Vectors by text encoder: as their names say, else as their width says; of several tables, those of one width are joined."""
    named = {name: tensors[name] for name in ENCODERS if name in tensors}
    named |= {name.rpartition(".")[2]: tensors[name] for name in tensors if name.startswith("bundle_emb.") and name.endswith(ENCODERS)}
    if named:
        return named
    if "emb_params" in tensors:
        tensors = {"emb_params": tensors["emb_params"]}
    found: dict[str, list[Tensor]] = {}
    for rows in tensors.values():
        same = found.setdefault(WIDTHS.get(rows.shape[1], ANY_ENCODER), [])
        if not same or same[0].shape[1] == rows.shape[1]:
            same.append(rows)
    return {encoder: torch.cat(parts) for encoder, parts in found.items()}


def _bad(path: Path, what: str, hint: str = _ANOTHER) -> ModelFormatError:
    return ModelFormatError(f"The embedding {named(path)} {what}.", hint=hint)
