"""The catalogue for a command that runs nothing: the one that a server of the data folder kept, else made from the nodes themselves."""

from __future__ import annotations

from engine.graph.catalogue import Catalogue
from engine.graph.folders import Folders
from engine.settings import Settings


def load_catalogue(settings: Settings) -> Catalogue:
    from engine.worker.runtime import load_registry

    folders = Folders.of(settings)
    registry = load_registry(settings, folders)
    return registry.catalogue(folders.listing(registry.folder_keys()))
