"""Everything that runs graphs in one process: nodes, cache, folders, device and executor. Used by the worker and by `easel run`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import psutil

from engine.graph.cache import Cache
from engine.graph.catalogue import Catalogue, NodeInfo
from engine.graph.context import JobInfo
from engine.graph.disk_tier import DiskTier
from engine.graph.executor import Executor
from engine.graph.folders import Folders
from engine.graph.records import RecordStore, records_path
from engine.graph.registry import Registry
from engine.settings import Settings
from engine.worker.peak_memory import measurer


class Runtime:
    def __init__(self, settings: Settings, *, output: Path | None = None) -> None:
        """output: another folder than the data folder's for what output nodes write."""
        self.settings = settings
        self.folders = Folders.of(settings, output=output)
        self.registry = load_registry(settings, self.folders)
        self._torch = sys.modules.get("torch")  # not there when no node needs it: then there is no device to own either
        self.device, self.memory, numerics = self._own_device()
        self.cache = self._open_cache()
        self.executor = Executor(
            self.registry,
            self.cache,
            folders=self.folders,
            device=self.device,
            memory=self.memory,
            numerics=numerics,
            around=self._around,
            max_steps=settings.max_steps,
            measure=measurer(self.device),
        )

    def catalogue(self) -> Catalogue:
        return self.registry.catalogue(self.folders.listing(self.registry.folder_keys()))

    def job(self, id: str, client_id: str, prompt: dict[str, Any], extra: dict[str, Any]) -> JobInfo:
        """A job with what the settings say about the files and previews of every job; `extra` may leave out the metadata of this one."""
        settings = self.settings
        metadata = settings.metadata and extra.get("metadata") is not False
        size = settings.preview_size if settings.previews else 0
        return JobInfo(id, client_id, prompt, extra, metadata=metadata, max_pixels=settings.max_pixels, preview_size=size)

    def free(self, *, models: bool, cache: bool) -> None:
        """Let go of loaded models, and of results kept in memory (those on disk stay)."""
        if models and self.memory is not None:
            self.memory.free()
        if cache:
            self.cache.clear(memory=True)

    def about(self) -> dict[str, Any]:
        """What this process is, for /system_stats and the log."""
        return {"device": self.device_stats(), "failures": self.registry.failures}

    def device_stats(self) -> dict[str, Any]:
        """Name, kind and memory in bytes of the device, in ComfyUI's words."""
        memory = psutil.virtual_memory()
        kind, _, index = self.device.partition(":")
        if kind != "cuda" or self._torch is None:
            sizes = (memory.total, memory.available, memory.total, memory.available)
            return _stats(self.device, kind, None, *sizes)
        cuda, number = self._torch.cuda, int(index or 0)
        free, total = cuda.mem_get_info(number)
        reserved = cuda.memory_reserved(number)
        spare = reserved - cuda.memory_allocated(number)
        return _stats(f"{self.device} {cuda.get_device_name(number)}", kind, number, total, free + spare, reserved, spare)

    def close(self) -> None:
        self.executor.close()

    def _own_device(self) -> tuple[str, Any, dict[str, Any]]:
        if self._torch is None:
            return "cpu", None, {}
        from engine.diffusion.devices import choose
        from engine.diffusion.memory import Memory

        numerics = choose(self.settings.device, self.settings.precision)
        return str(numerics.device), Memory(numerics), numerics.describe()

    def _open_cache(self) -> Cache:
        tensors = None
        if self._torch is not None:
            from engine.values.store import SafetensorsStore

            tensors = SafetensorsStore()
        disk = DiskTier(self.folders.state / "cache", tensors, limit=self.settings.disk_cache) if self.settings.disk_cache else None
        return Cache(
            self.settings.memory_cache,
            disk,
            RecordStore(records_path(self.folders.state)),
            store_intermediates=self.settings.keep_intermediates,
        )

    def _around(self, info: NodeInfo, arguments: dict[str, Any]) -> AbstractContextManager[Any]:
        """Nodes run without gradients unless they declare `grad`; never in inference mode, whose tensors no trainer could use."""
        if self._torch is None:
            return nullcontext()
        return self._torch.enable_grad() if info.grad else self._torch.no_grad()


def load_registry(settings: Settings, folders: Folders) -> Registry:
    """Every node that the settings ask for: their packages, installed packs, the packs of the data folder."""
    registry = Registry()
    for package in settings.packages:
        registry.load_package(package)
    registry.load_entry_points()
    for folder in folders.custom_nodes:
        registry.load_folder(folder)
    return registry


def build(settings: Settings, *, output: Path | None = None) -> Runtime:
    return Runtime(settings, output=output)


def _stats(name: str, kind: str, index: int | None, total: int, free: int, torch_total: int, torch_free: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "index": index,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": torch_total,
        "torch_vram_free": torch_free,
    }
