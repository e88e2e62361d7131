"""Which module each tensor of an adapter belongs to, and what of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from engine.diffusion.adapters.names import dotted, split
from engine.diffusion.families import ADAPTERS
from engine.diffusion.families.adapters import AdapterPart, Adapters, Names
from engine.diffusion.families.family import Config
from engine.errors import ModelFormatError
from engine.values.lora import Lora

Modules = dict[str, dict[str, Tensor]]
"""Module path -> role (see names.SUFFIXES) -> tensor."""

BY_ROWS = ("up", "diff", "bias", "dora_scale", "hada_w1_a", "hada_w2_a")
SHARED = ("down", "alpha", "hada_w1_b", "hada_w2_b")

SWAPPED = "adaLN_modulation.1"
"""End of stored modules whose two halves, where they have two, lie the other way round in diffusers' modules."""


@dataclass(frozen=True)
class Source:
    """The tensors of one module. roles: role -> the tensor's name. stored: the path it has in the file; piece of pieces: see Place."""

    stored: str
    roles: dict[str, str]
    piece: int = 0
    pieces: int = 1


class Located(NamedTuple):
    """parts: network -> module path -> its tensors. unused: names of tensors that belong to no module."""

    parts: dict[str, dict[str, Source]]
    unused: tuple[str, ...]


def locate(
    names: Iterable[str],
    adapters: Adapters,
    configs: Mapping[str, Config] | None = None,
    exists: Callable[[str, str, str], bool] = lambda part, path, parameter: True,
) -> Located:
    """Find the modules by the names alone.

    configs: constructor arguments by network, where they are known. exists(network, path, "weight" or "bias"): whether the network at
    hand has this parameter; by default every path counts that a network of the family may have.
    """
    spelling = _Spelling(adapters, configs or {}, exists)
    parts: dict[str, dict[str, Source]] = {}
    unused = []
    for name in names:
        found = split(name)
        place = spelling.find(*found) if found is not None else None
        if found is None or place is None:
            unused.append(name)
            continue
        part, stored, paths = place
        for piece, path in enumerate(paths):
            sources = parts.setdefault(part, {})
            sources.setdefault(path, Source(stored, {}, piece, len(paths))).roles[found[1]] = name
    for sources in parts.values():
        for path, source in list(sources.items()):
            if not source.roles.keys() - {"alpha", "rescale", "on_input"} or ("factors" in source.roles) != ("on_input" in source.roles):
                unused.extend(source.roles.values())
                del sources[path]
    return Located(parts, tuple(sorted(set(unused))))


class _Spelling:
    """Finds the network and modules of a spelled name; remembers what it found."""

    def __init__(self, adapters: Adapters, configs: Mapping[str, Config], exists: Callable[[str, str, str], bool]) -> None:
        self._parts = [(name, part, part.names(configs.get(name))) for name, part in adapters.parts.items()]
        self._exists = exists
        self._found: dict[tuple[str, str], tuple[str, str, tuple[str, ...]] | None] = {}

    def find(self, spelled: str, role: str) -> tuple[str, str, tuple[str, ...]] | None:
        """(network, stored path, module paths) of a module's name as a file has it."""
        parameter = "bias" if role == "bias" else "weight"
        key = (spelled, parameter)
        if key not in self._found:
            self._found[key] = self._search(spelled, parameter)
        return self._found[key]

    def _search(self, spelled: str, parameter: str) -> tuple[str, str, tuple[str, ...]] | None:
        for name, part, names in self._parts:
            for stored in _stored_paths(spelled, part):
                paths = _modules(names, stored)
                if all(part.known.match(path) and self._exists(name, path, parameter) for path in paths):
                    return name, stored, paths
        return None


def _stored_paths(spelled: str, part: AdapterPart) -> Iterable[str]:
    for prefix in (part.kohya, part.dotted, *part.also):
        if spelled.startswith(prefix):
            rest = spelled[len(prefix) :]
            yield dotted(rest) if prefix.endswith("_") else rest
        elif prefix.endswith("_") and spelled.startswith(f"{prefix[:-1]}."):
            yield spelled[len(prefix) :]


def _modules(names: Names, stored: str) -> tuple[str, ...]:
    """The modules of a stored path; early diffusers files leave out that a projection is the first of a list."""
    return tuple(f"{path}.0" if path.endswith(".to_out") else path for path in names.modules(stored))


def tensors_of(lora: Lora, source: Source) -> dict[str, Tensor]:
    """The tensors of one module by role: where the file holds several modules as one, the rows that are its own.

    Raises ModelFormatError for tensors that cannot be divided so.
    """
    tensors = {role: lora.tensors[name] for role, name in source.roles.items()}
    swapped = source.stored.endswith(SWAPPED)
    if source.pieces == 1 and not swapped:
        return tensors
    if unknown := [name for role, name in source.roles.items() if role not in (*BY_ROWS, *SHARED)]:
        raise ModelFormatError(
            f"{unknown[0]} changes {source.pieces} modules at once, which cannot be taken apart.",
            hint="Adapters of the kinds LoRA, LoHa and full difference can be used here.",
        )
    return {role: _rows(tensor, tensors, source, swapped) if role in BY_ROWS else tensor for role, tensor in tensors.items()}


def _rows(tensor: Tensor, tensors: Mapping[str, Tensor], source: Source, swapped: bool) -> Tensor:
    rows = tensor.shape[0] if tensor.ndim else 0
    columns = next((tensors[role].shape[1] for role in ("down", "hada_w1_b", "diff") if role in tensors and tensors[role].ndim > 1), 0)
    if swapped:
        return tensor.roll(rows // 2, 0) if rows == 2 * columns else tensor
    if source.pieces == 3:
        first, count = source.piece * (rows // 3), rows // 3
    else:  # three of the width of what is read, and the rest
        first, count = source.piece * columns, columns if source.piece < source.pieces - 1 else rows - columns * source.piece
    if not 0 < count <= rows:
        raise ModelFormatError(
            f"The LoRA's {source.stored} has {rows} rows, which {source.pieces} modules cannot share.", hint="The file may be damaged."
        )
    return tensor[first : first + count]


def modules_of(lora: Lora, adapters: Adapters) -> tuple[dict[str, Modules], tuple[str, ...]]:
    """Every tensor of an adapter by network, module and role, and the names of those that belong to nothing. No model is needed."""
    located = locate(lora.tensors, adapters)
    parts = {part: {path: tensors_of(lora, source) for path, source in sources.items()} for part, sources in located.parts.items()}
    return parts, located.unused


def family_of(lora: Lora) -> Adapters:
    """The family that an adapter was made for, by its metadata and its tensors' names; Stable Diffusion 1.5 where all else is silent.

    Raises ModelFormatError for an adapter of which nothing is known.
    """
    version = lora.metadata.get("ss_base_model_version", "")
    said = lora.metadata.get("modelspec.architecture", "").removesuffix("/lora")
    for adapters in ADAPTERS.values():
        if version == adapters.base_model_version or said == adapters.architecture:
            return adapters
    for adapters in reversed(ADAPTERS.values()):
        if any(adapters.marks.search(name) for name in lora.tensors) and locate(lora.tensors, adapters).parts:
            return adapters
    if _reads_two_encoders(lora):
        return ADAPTERS["sdxl"]
    if locate(lora.tensors, ADAPTERS["sd15"]).parts:
        return ADAPTERS["sd15"]
    shown = ", ".join(sorted(lora.tensors)[:3])[:400]
    raise ModelFormatError(
        f"No family of models is known whose LoRA has such tensors: {shown or 'none at all'}.", hint="Use a LoRA of a known family."
    )


def _reads_two_encoders(lora: Lora) -> bool:
    """Whether its cross-attention reads text of SDXL's width."""
    return any(
        tensor.ndim > 1 and tensor.shape[1] == 2048
        for name, tensor in lora.tensors.items()
        if "attn2" in name and (found := split(name)) is not None and found[1] == "down" and found[0].endswith(("to_k", "to_v"))
    )
