"""Replay of tokens.json: ids and weights of every text, chunk by chunk, for CLIP-L and for OpenCLIP-G."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from engine.diffusion.text.chunks import chunk
from engine.diffusion.text.tokenizer import EOS
from tests.reference.result import Result, Selection, attempt

PART = "tokens"
PADS = {"sd1_l": EOS, "sdxl_g": 0}


def replay(directory: Path, selection: Selection) -> Iterable[Result]:
    path = directory / "tokens.json"
    if selection.kind is not None or selection.sampler is not None or not path.exists():
        return
    for record in json.loads(path.read_text()):
        for encoder, pad in PADS.items():
            name = f"{encoder}: {record['text']!r}"
            yield attempt(PART, name, lambda name=name, pad=pad, encoder=encoder, record=record: _compared(name, record, encoder, pad))


def _compared(name: str, record: dict, encoder: str, pad: int) -> Result:
    got = [[[token.id, token.weight] for token in row] for row in chunk(record["text"], pad)]
    if got == record[encoder]:
        return Result(PART, name, "ok", 0.0)
    return Result(PART, name, "wrong", math.inf, f"{len(got)} chunks, wanted {len(record[encoder])}")
