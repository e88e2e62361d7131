"""Random numbers of a training, each stream made from the seed, its name and the step: no state to keep, nothing that shifts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch


def stream_seed(seed: int, name: str, *numbers: int) -> int:
    """63 bits for one stream of one step."""
    text = ":".join([str(seed), name, *map(str, numbers)])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, name: str, *numbers: int) -> torch.Generator:
    """A generator on the CPU, so that every device gets the same numbers."""
    return torch.Generator().manual_seed(stream_seed(seed, name, *numbers))


@contextmanager
def global_stream(seed: int, name: str, *numbers: int) -> Iterator[None]:
    """Code of libraries that draws from torch's global generator gets this stream; afterwards the generator is as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(seed, name, *numbers))
        yield
