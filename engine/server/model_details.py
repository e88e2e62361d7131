"""What a model file says about itself, and the notes that other programs keep beside it. No tensor is read, nothing is hashed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.diffusion.weights_file import WeightsFile, read_header
from engine.errors import EaselError

LONGEST_NOTE = 1 * 2**20
"""Bytes of a file with notes."""
LONGEST_TEXT = 2_000
"""Characters of one text of the metadata that are told."""
MOST_TAGS = 100


def describe(path: Path) -> dict[str, Any]:
    """The details of one model file, as `ModelDetails` has them; of a file that is no safetensors file only what lies beside it."""
    header: WeightsFile | None = None
    fault = ""
    if path.suffix in (".safetensors", ".sft"):
        try:
            header = read_header(path)
        except EaselError as error:
            fault = error.message.replace(str(path), path.name)
    metadata = header.metadata if header is not None else {}
    notes, civitai = _note(path.with_suffix(".json")), _note(path.with_suffix(".civitai.info"))
    tags = _tags(metadata.get("ss_tag_frequency", ""))
    return {
        "title": _first(metadata, "modelspec.title", "ss_output_name") or path.stem,
        "description": _text(_first(metadata, "modelspec.description") or notes.get("description")),
        "notes": _text(notes.get("notes")),
        "author": _text(_first(metadata, "modelspec.author")),
        "license": _text(_first(metadata, "modelspec.license")),
        "architecture": _text(_first(metadata, "modelspec.architecture", "ss_base_model_version", "ss_sd_model_name")),
        "resolution": _text(_first(metadata, "modelspec.resolution", "ss_resolution")).strip("() "),
        "trigger_words": _words(metadata, notes, civitai),
        "tags": [{"tag": tag, "count": count} for tag, count in tags],
        "strength": _number(notes.get("preferred weight")),
        "rank": _text(_first(metadata, "ss_network_dim")),
        "tensors": len(header.tensors) if header is not None else None,
        "dtypes": sorted({info.dtype for info in header.tensors.values()}) if header is not None else [],
        "metadata": {name: _text(value) for name, value in metadata.items() if name != "modelspec.thumbnail"},
        "fault": fault,
    }


def _first(metadata: Mapping[str, str], *names: str) -> str:
    return next((metadata[name] for name in names if metadata.get(name)), "")


def _text(value: Any) -> str:
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value and abs(value) < 1e6 else None


def _words(metadata: Mapping[str, str], notes: Mapping[str, Any], civitai: Mapping[str, Any]) -> list[str]:
    """By the model's header, AUTOMATIC1111's notes ("activation text") and those of Civitai ("trainedWords")."""
    trained = civitai.get("trainedWords")
    listed = [word for word in trained if isinstance(word, str)] if isinstance(trained, list) else []
    texts = [_first(metadata, "modelspec.trigger_phrase"), _text(notes.get("activation text")), *listed[:MOST_TAGS]]
    words = [word.strip() for text in texts for word in _text(text).split(",")]
    return list(dict.fromkeys(word for word in words if word))


def _tags(frequencies: str) -> list[tuple[str, int]]:
    """The tags of the captions that kohya's trainer counted, the most frequent first."""
    try:
        table = json.loads(frequencies) if frequencies else {}
    except (ValueError, RecursionError):
        return []
    counted: Counter[str] = Counter()
    for tags in table.values() if isinstance(table, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int and 0 < count < 2**31:
                counted[_text(tag).strip()] += count
    return counted.most_common(MOST_TAGS)


def _note(path: Path) -> dict[str, Any]:
    """A JSON file beside a model; whatever is wrong with it, it says nothing."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LONGEST_NOTE:  # a pipe would be waited for without end
            return {}
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
