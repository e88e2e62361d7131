"""A check for tests: values are immutable, so no node may write to a tensor that it was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from engine.errors import NodeFailed
from engine.graph.catalogue import NodeInfo


@contextmanager
def inputs_unwritten(info: NodeInfo, arguments: Mapping[str, Any]) -> Iterator[None]:
    """For `Executor(around=...)`. Raises NodeFailed, naming the input, if a tensor in the arguments was written to (torch's `_version`)."""
    before = [(name, tensor, tensor._version) for name, value in arguments.items() for tensor in tensors_in(value)]
    yield
    for name, tensor, version in before:
        if tensor._version != version:
            raise NodeFailed(f"{info.display_name} wrote to its input {name}.", hint="Values are shared: make a new tensor instead.")


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in containers, dataclasses and modules, each once. Tensors made in inference mode have no version and are left out."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, torch.Tensor):
            if id(item) not in seen and not item.is_inference():
                seen.add(id(item))
                yield item
        elif isinstance(item, torch.nn.Module):
            waiting += [*item.parameters(), *item.buffers()]
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif dataclasses.is_dataclass(item) and not isinstance(item, type) and id(item) not in seen:
            seen.add(id(item))
            waiting += [getattr(item, field.name) for field in dataclasses.fields(item)]
