"""The catalogue for a command that runs nothing: the one that a server of the data folder kept, else made from the nodes themselves."""

from __future__ import annotations

import asyncio

from engine.graph.catalogue import Catalogue
from engine.graph.folders import Folders
from engine.jobs.catalogue import CatalogueCache
from engine.settings import Settings


def load_catalogue(settings: Settings) -> Catalogue:
    folders = Folders.of(settings)
    kept = CatalogueCache.of(settings, folders)
    kept.load()
    if kept.known:
        return asyncio.run(kept.current())
    from engine.worker.runtime import load_registry

    registry = load_registry(settings, folders)
    return registry.catalogue(folders.listing(registry.folder_keys()))
