"""What is loaded on the device: networks by their weights, within a budget, with patches put on and taken off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeVar

import psutil
import torch
from diffusers.hooks import apply_group_offloading
from torch import Tensor, nn

from engine.diffusion.compilation import Compiled
from engine.diffusion.devices import Numerics
from engine.diffusion.families import FAMILIES
from engine.diffusion.loading import load_module
from engine.errors import OutOfMemory, is_out_of_memory
from engine.values.model import Change, Clip, Model, Patch, Vae
from engine.values.weights import Weights

T = TypeVar("T")
RESERVE = 2**30
"""Bytes of a graphics device left for what is computed, when no budget is given."""


@dataclass(eq=False)
class Loaded:
    """A network on the device. originals: the weights that patches replaced, as they were. compiled: its forms by backend."""

    weights: Weights
    module: nn.Module
    size: int
    dtype: torch.dtype
    patches: tuple[Patch, ...] = ()
    originals: dict[str, Tensor] = field(default_factory=dict)
    users: int = 0
    compiled: dict[str, Compiled] = field(default_factory=dict)


class Memory:
    """Loads what is asked for, drops what was not used for longest, and runs again smaller what did not fit.

    One thread computes at a time: a network in use holds the lock.
    """

    def __init__(self, numerics: Numerics, budget: int | None = None) -> None:
        """budget: bytes that weights may take; by default most of a graphics device, or 60% of the main memory that is free now."""
        self.numerics = numerics
        self.budget = _default_budget(numerics.device) if budget is None else budget
        self._loaded: list[Loaded] = []
        self._lock = threading.RLock()

    @contextmanager
    def unet(self, model: Model) -> Iterator[Any]:
        with self._use(model.weights, model.patches, self.network_dtype(model)) as module:
            yield module

    def network_dtype(self, model: Model) -> torch.dtype:
        """What the model's network computes in: the format set on the model, or the one in force."""
        return model.options.get("compute_dtype") or self.numerics.network

    def compiled(self, module: nn.Module, backend: str) -> Compiled:
        """The compiled form of a network in use, kept for as long as the network is loaded."""
        entry = next(entry for entry in self._loaded if entry.module is module)
        if backend not in entry.compiled:
            entry.compiled[backend] = Compiled(module, backend)
        return entry.compiled[backend]

    @contextmanager
    def text_encoder(self, clip: Clip) -> Iterator[Any]:
        with self._use(clip.weights, clip.patches, self.numerics.text, self.numerics.text_rounding) as module:
            yield module

    @contextmanager
    def autoencoder(self, vae: Vae) -> Iterator[Any]:
        with self._use(vae.weights, (), self.numerics.vae) as module:
            yield module

    def free(self) -> None:
        """Drop every network that is not in use."""
        with self._lock:
            self._loaded = [entry for entry in self._loaded if entry.users]
            _release(self.numerics.device)

    def loaded(self) -> list[tuple[Weights, int]]:
        """The loaded networks and their sizes in bytes, the longest unused first."""
        return [(entry.weights, entry.size) for entry in self._loaded]

    def available(self) -> int:
        """Bytes that a computation on the device may take now."""
        device = self.numerics.device
        if device.type == "cuda":
            unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return torch.cuda.mem_get_info(device)[0] + unused
        if device.type == "mps":
            return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return psutil.virtual_memory().available

    def first_that_fits(self, attempts: Sequence[Callable[[], T]], what: str) -> T:
        """The result of the first attempt that does not run out of memory; before a retry, networks not in use are dropped.

        attempts: from the fastest to the most frugal. what: for the message of OutOfMemory, raised when none fits.
        """
        for attempt in attempts:
            try:
                return attempt()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            self.free()
        raise OutOfMemory(
            f"{what} does not fit into the memory of {self.numerics.device}, also in smaller pieces.",
            hint="Use a smaller picture or batch, or close other programs that use the device.",
        )

    @contextmanager
    def _use(self, weights: Weights, patches: tuple[Patch, ...], dtype: torch.dtype, rounding: torch.dtype | None = None) -> Iterator[Any]:
        with self._lock:
            entry = self._find(weights, dtype, patches) or self._load(weights, dtype, rounding)
            self._loaded.remove(entry)
            self._loaded.append(entry)
            entry.users += 1
            try:
                _apply(entry, patches)
                yield entry.module
            finally:
                entry.users -= 1

    def _find(self, weights: Weights, dtype: torch.dtype, patches: tuple[Patch, ...]) -> Loaded | None:
        """A loaded network with these patches; one with other patches only while nobody uses it."""
        same = [entry for entry in self._loaded if entry.weights == weights and entry.dtype == dtype]
        exact = [entry for entry in same if _keys(entry.patches) == _keys(patches)]
        return next(iter(exact or [entry for entry in same if not entry.users]), None)

    def _load(self, weights: Weights, dtype: torch.dtype, rounding: torch.dtype | None) -> Loaded:
        part = FAMILIES[weights.family].parts[weights.part]
        size = sum(prod(shape) for shape in part.tensor_shapes(weights.arguments).values()) * dtype.itemsize
        self._make_room(size)
        device = self.numerics.device
        room = self.budget - sum(entry.size for entry in self._loaded)
        if size <= room or device.type == "cpu":
            module = self.first_that_fits([lambda: load_module(weights, dtype, device, rounding)] * 2, f"The {part.name}")
        else:
            module = _offloaded(load_module(weights, dtype, torch.device("cpu"), rounding), device)
        entry = Loaded(weights, module, size, dtype)
        self._loaded.append(entry)
        return entry

    def _make_room(self, size: int) -> None:
        for entry in [entry for entry in self._loaded if not entry.users]:
            if sum(other.size for other in self._loaded) + size <= self.budget:
                return
            self._loaded.remove(entry)
            del entry
            _release(self.numerics.device)


def _offloaded(module: nn.Module, device: torch.device) -> nn.Module:
    """A network too large for the device: its layers lie in main memory and visit the device one after the other."""
    apply_group_offloading(module, onload_device=device, offload_device=torch.device("cpu"), offload_type="leaf_level")
    return module


def _apply(entry: Loaded, patches: tuple[Patch, ...]) -> None:
    """Bring a network from the patches it has to these. Taking them off puts the very tensors back that were there."""
    if _keys(entry.patches) == _keys(patches):
        return
    parameters = dict(entry.module.named_parameters())
    for name, original in entry.originals.items():
        parameters[name].data = original.to(parameters[name].device)
    entry.originals, entry.patches = {}, ()
    try:
        _merge(entry, parameters, [patch.changes() for patch in patches])
    except BaseException:
        for name, original in entry.originals.items():
            parameters[name].data = original.to(parameters[name].device)
        entry.originals = {}
        raise
    entry.patches = patches


@torch.no_grad()
def _merge(entry: Loaded, parameters: Mapping[str, nn.Parameter], changes: Sequence[Mapping[str, Change]]) -> None:
    for name in dict.fromkeys(name for change in changes for name in change):
        parameter = parameters[name]
        merged = parameter.data.float()
        for change in changes:
            if name in change:
                merged = change[name](merged)
        entry.originals[name] = parameter.data.cpu()
        parameter.data = merged.to(parameter.dtype)


def _keys(patches: tuple[Patch, ...]) -> tuple:
    return tuple(patch.key for patch in patches)


def _default_budget(device: torch.device) -> int:
    if device.type == "cuda":
        return max(0, torch.cuda.mem_get_info(device)[0] - RESERVE)
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - RESERVE)
    return int(psutil.virtual_memory().available * 0.6)


def _release(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
