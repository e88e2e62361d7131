"""What every route works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from engine.graph.folders import Folders
from engine.graph.limits import Limits
from engine.jobs.catalogue import CatalogueCache
from engine.jobs.jobs import Jobs
from engine.jobs.supervisor import Supervisor
from engine.server.catalogue_texts import CatalogueTexts
from engine.server.log_book import LogBook
from engine.server.model_search import ModelSearch
from engine.server.thumbnails import Thumbnails
from engine.settings import Settings


@dataclass(frozen=True)
class Server:
    settings: Settings
    folders: Folders
    limits: Limits
    catalogue: CatalogueCache
    jobs: Jobs
    supervisor: Supervisor
    records: Callable[[str], list[dict[str, Any]]]
    """Why each node of a job ran or did not; reads from disk."""
    thumbnails: Thumbnails
    log_book: LogBook
    models: ModelSearch
    catalogue_texts: CatalogueTexts = field(default_factory=CatalogueTexts)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a file is replaced that somebody else may have changed since it was read."""


SERVER = web.AppKey("server", Server)


def server_of(request: web.Request) -> Server:
    return request.config_dict[SERVER]
