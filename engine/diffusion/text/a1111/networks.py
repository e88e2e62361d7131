"""<lora:name:weight>: small networks that a prompt puts on the model, taken out of its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from math import isfinite
from pathlib import PurePosixPath
from typing import NamedTuple

from engine.errors import InvalidInput, MissingFile

_CALL = re.compile(r"<(\w{1,64}):([^>]{1,500})>")
_KINDS = ("lora", "lyco")
LARGEST_STRENGTH = 100.0


class Network(NamedTuple):
    """A LoRA by name, with its strength on the text encoder and on the diffusion network."""

    name: str
    text: float
    unet: float


class Called(NamedTuple):
    """A prompt without its calls; the LoRAs it calls, in order; and calls of kinds that nobody knows, which A1111 drops as well."""

    text: str
    networks: list[Network]
    unknown: list[str]


def take_networks(text: str) -> Called:
    """Take the calls out of a prompt.

    `<lora:name>` is strength 1, `<lora:name:w>` both strengths, `<lora:name:te:unet>` each; `te=`, `unet=` name them; `lyco` is an
    old word for `lora`. Raises InvalidInput for hypernetworks, for `dyn` (another rank) and for strengths that are no numbers.
    """
    networks: list[Network] = []
    unknown: list[str] = []
    for match in _CALL.finditer(text):
        kind, arguments = match[1], match[2]
        if kind in _KINDS:
            networks.append(_network(match[0], arguments.split(":")))
        elif kind == "hypernet":
            raise InvalidInput(f"Easel applies no hypernetworks ({match[0][:100]}).", hint="Remove it from the prompt.")
        else:
            unknown.append(match[0])
    return Called(_CALL.sub("", text), networks, unknown)


def _network(call: str, arguments: list[str]) -> Network:
    places = [argument for argument in arguments if "=" not in argument]
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if "dyn" in named or len(places) > 3:
        raise InvalidInput(f"{call[:100]} asks for another rank (dyn), which Easel does not do.", hint="Leave it out.")
    if not places or not places[0].strip():
        raise InvalidInput(f"{call[:100]} names no file.", hint="Write <lora:name:1>.")
    text = _strength(call, named["te"] if "te" in named else places[1] if len(places) > 1 else "1")
    unet = _strength(call, named["unet"]) if "unet" in named else _strength(call, places[2]) if len(places) > 2 else text
    return Network(places[0].strip(), text, unet)


def _strength(call: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or abs(value) > LARGEST_STRENGTH:
        raise InvalidInput(
            f"{call[:100]}: the strength {number[:50]!r} is no number from -{LARGEST_STRENGTH:g} to {LARGEST_STRENGTH:g}.",
            hint="Write <lora:name:0.8>.",
        )
    return value


def file_of(name: str, files: Sequence[str]) -> str:
    """The file of a LoRA: its name without the ending, in the folder itself or below it; `sub/name` says where.

    Raises MissingFile with the near names.
    """
    stems = {file: PurePosixPath(file).with_suffix("").as_posix() for file in files}
    matching = [file for file, stem in stems.items() if name in (file, stem) or stem.endswith(f"/{name}") or file.endswith(f"/{name}")]
    if matching:
        return min(matching, key=lambda file: (file.count("/"), file))
    names = sorted({PurePosixPath(stem).name for stem in stems.values()})
    near = get_close_matches(name[:100], names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(names[:8])}." if names else "Put it into models/loras."
    raise MissingFile(f"There is no LoRA {name[:100]!r}.", hint=hint, details={"folder": "loras", "name": name[:200], "near": near})
