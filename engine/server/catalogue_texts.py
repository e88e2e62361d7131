"""Texts that tell of all nodes: half a megabyte each, made once for each catalogue, whoever asks how often."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from engine.graph.catalogue import Catalogue

Make = Callable[[Catalogue], bytes]


class CatalogueTexts:
    """Those of the catalogue that was asked about last, by the function that makes them."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._texts: dict[Make, tuple[bytes, str]] = {}
        self._making = asyncio.Lock()

    async def of(self, catalogue: Catalogue, make: Make) -> tuple[bytes, str]:
        """What `make` gives, and its ETag. It runs in a thread, once for all who ask meanwhile."""
        async with self._making:
            if self._catalogue is not catalogue:
                self._catalogue, self._texts = catalogue, {}
            if make not in self._texts:
                body = await asyncio.to_thread(make, catalogue)
                self._texts[make] = body, hashlib.sha256(body).hexdigest()[:32]
            return self._texts[make]
