"""What no adapter file needs: found from the header, before a tensor is read."""

from __future__ import annotations

from engine.diffusion.adapters.names import split
from engine.diffusion.weights_file import WeightsFile
from engine.errors import ModelFormatError, named

MOST_TENSORS = 100_000
MOST_RANK = 16_384
"""More than the widest network's width, so more than any change of a weight can have."""
_RANKS = {"down": 0, "up": 1, "hada_w1_a": 1, "hada_w1_b": 0, "hada_w2_a": 1, "hada_w2_b": 0}
"""Roles -> the dimension that is the rank. Not where a middle or a core comes between."""


def check_header(file: WeightsFile) -> None:
    """Raise ModelFormatError, naming the tensor, for a file that no adapter can be."""
    if len(file.tensors) > MOST_TENSORS:
        raise ModelFormatError(
            f"{named(file.path)} has {len(file.tensors):,} tensors; an adapter has at most {MOST_TENSORS:,}.", hint="Use another file."
        )
    cores = {found[0] for name in file.tensors if (found := split(name)) is not None and found[1] in ("hada_t1", "hada_t2")}
    for name, info in file.tensors.items():
        found = split(name)
        if found is None:
            continue
        module, role = found
        if role == "alpha" and info.shape not in ((), (1,)):
            raise ModelFormatError(f"{named(file.path)}: {name} is no single number but {list(info.shape)}.", hint="The file is damaged.")
        if 0 in info.shape:
            raise ModelFormatError(f"{named(file.path)}: {name} is empty, {list(info.shape)}.", hint="The file is damaged.")
        if role in _RANKS and module not in cores and len(info.shape) > 1 and info.shape[_RANKS[role]] > MOST_RANK:
            raise ModelFormatError(
                f"{named(file.path)}: {name} has rank {info.shape[_RANKS[role]]:,}; at most {MOST_RANK:,} is read.",
                hint="Use another file.",
            )
