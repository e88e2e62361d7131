"""The catalogue in the server: what the worker declared, kept on disk so that the next start has it before any worker is up."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import ValidationError

from engine.errors import Busy
from engine.graph.catalogue import Catalogue
from engine.graph.folders import Folders
from engine.graph.registry import ENTRY_POINT_GROUP
from engine.settings import ROOT, Settings

log = logging.getLogger("easel.server")


class CatalogueCache:
    """`current` is what requests use: the nodes last heard of, with today's files; one object as long as neither changes.

    Nodes kept on disk count while no source has changed.
    """

    def __init__(self, path: Path, folders: Folders, sources: Iterable[Path], packages: Iterable[str]) -> None:
        self._path = path
        self._folders = folders
        self._sources = tuple(sources)
        self._packages = tuple(packages)
        self._catalogue: Catalogue | None = None
        self._arrived = asyncio.Event()
        self._listed: Catalogue | None = None
        self._folder_keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, folders: Folders) -> CatalogueCache:
        """The one of a data folder."""
        return cls(folders.state / "catalogue.json", folders, (ROOT / "engine", ROOT / "nodes", *folders.custom_nodes), settings.packages)

    def load(self) -> None:
        """Take the kept catalogue if it was made from the sources as they are now."""
        try:
            kept = json.loads(self._path.read_bytes())
            if kept["sources"] == self.sources_digest():
                self._set(Catalogue.model_validate(kept["catalogue"]))
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return  # none yet, or not from this version: the worker will tell

    def receive(self, data: bytes) -> None:
        """A worker's catalogue, as JSON."""
        self._set(Catalogue.model_validate_json(data))
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(b'{"sources":%s,"catalogue":%s}' % (json.dumps(self.sources_digest()).encode(), data))
            temporary.replace(self._path)
        except OSError as error:  # such as a full disk: the next start waits for its worker
            log.warning("The catalogue could not be kept: %s", error.strerror)

    async def current(self, wait: float = 180.0) -> Catalogue:
        """The catalogue; waits for the first one. Raises Busy when no worker has sent one in `wait` seconds."""
        try:
            await asyncio.wait_for(self._arrived.wait(), wait)
        except TimeoutError as error:
            raise Busy(
                "The worker has not told which nodes there are yet", hint="Try again; the log says why it does not start."
            ) from error
        while True:
            told = self._catalogue
            files = await asyncio.to_thread(self._folders.listing, self._folder_keys)
            if told is not None and told is self._catalogue:  # else a worker has sent another one meanwhile
                break
        if self._listed is None or self._listed.files != files:
            self._listed = Catalogue(nodes=told.nodes, files=files, failures=told.failures)
        return self._listed

    @property
    def known(self) -> bool:
        return self._catalogue is not None

    def _set(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._listed = None
        self._folder_keys = tuple(sorted({item.folder for info in catalogue.nodes.values() for item in info.inputs if item.folder}))
        self._arrived.set()

    def sources_digest(self) -> str:
        """A digest of everything a catalogue is made from: Python sources, packs that are installed, the packages that are loaded."""
        digest = hashlib.sha256(f"{sys.version} {self._packages}".encode())
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda item: item.name):
            digest.update(f"{point.name} {point.value} {point.dist.version if point.dist else ''}".encode())
        for root in self._sources:
            for path in sorted(root.rglob("*.py")):
                digest.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()
