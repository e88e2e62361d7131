"""The registry: every node that installed modules declare, each id once."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from engine.errors import InvalidNode, MissingNode
from engine.graph.catalogue import Catalogue
from engine.graph.literals import nearest
from engine.graph.node import Definition

ENTRY_POINT_GROUP = "easel.nodes"


class Registry:
    """Nodes by canonical id. A module that does not load is listed in `failures` with the reason; the others load all the same."""

    def __init__(self) -> None:
        self.definitions: dict[str, Definition] = {}
        self.failures: dict[str, str] = {}
        self._owners: dict[str, Definition] = {}  # every id, aliases included

    def add(self, definition: Definition) -> None:
        """Raises InvalidNode when one of its ids is taken; the message names both places."""
        ids = [definition.info.id, *(alias.id for alias in definition.info.aliases)]
        for id in ids:
            owner = self._owners.get(id)
            if owner is not None and owner is not definition:
                raise InvalidNode(
                    f"The id {id!r} is declared twice: by {owner.where} and by {definition.where}.",
                    hint="Rename one of them, or remove one of the packs.",
                )
        self.definitions[definition.info.id] = definition
        self._owners.update(dict.fromkeys(ids, definition))

    def add_module(self, module: ModuleType) -> None:
        """Add the nodes that the module or a module below it declares, in the order of its source, all or none."""
        found = [value.definition for value in vars(module).values() if isinstance(getattr(value, "definition", None), Definition)]
        own = [definition for definition in found if f"{definition.info.module}.".startswith(f"{module.__name__}.")]
        trial = Registry()
        trial.definitions, trial._owners = dict(self.definitions), dict(self._owners)
        for definition in own:
            trial.add(definition)
        self.definitions, self._owners = trial.definitions, trial._owners

    def load_package(self, name: str) -> None:
        """Import a package and every module in it, or a single module."""
        package = self._load(name, partial(importlib.import_module, name))
        if package is None:
            return
        inside = pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}.")
        for module in sorted(inside, key=lambda item: item.name):
            self._load(module.name, partial(importlib.import_module, module.name))

    def load_entry_points(self) -> None:
        """Import the packs that installed Python packages announce under `easel.nodes`."""
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda item: item.name):
            self._load(point.value, partial(importlib.import_module, point.module))

    def load_folder(self, folder: Path) -> None:
        """Import the packs that lie in a folder: Python files, and folders with an `__init__.py`.

        Names that end in `.disabled` or start with `_` or a dot are left out.
        """
        if not folder.is_dir():
            return
        for path in sorted(folder.iterdir()):
            source = path / "__init__.py" if path.is_dir() else path
            if path.name.startswith((".", "_")) or path.name.endswith(".disabled") or source.suffix != ".py" or not source.is_file():
                continue
            name = f"easel_custom_nodes.{path.stem if path.is_file() else path.name}"
            self._load(name, partial(_import_file, name, source))

    def _load(self, name: str, import_: Callable[[], ModuleType]) -> ModuleType | None:
        try:
            module = import_()
            self.add_module(module)
        except Exception as error:  # noqa: BLE001  (a pack may raise anything while it is imported; the others must load)
            self.failures[name] = f"{type(error).__name__}: {error}" + (f" {error.hint}" if isinstance(error, InvalidNode) else "")
            return None
        return module

    def definition(self, id: str) -> Definition:
        """The node with this canonical id; raises MissingNode."""
        found = self.definitions.get(id)
        if found is None:
            raise MissingNode(f"No installed module declares the node {id!r}.", hint=nearest(id, list(self.definitions)))
        return found

    def folder_keys(self) -> tuple[str, ...]:
        """The folders whose files some input offers."""
        return tuple(sorted({item.folder for entry in self.definitions.values() for item in entry.info.inputs if item.folder}))

    def catalogue(
        self, files: Mapping[str, tuple[str, ...]] | None = None, code_version: Callable[[Definition], str] | None = None
    ) -> Catalogue:
        """The nodes as data. `code_version` gives the digest of the sources that a node's module reaches."""
        nodes = {
            id: entry.info if code_version is None else entry.info.model_copy(update={"code_version": code_version(entry)})
            for id, entry in sorted(self.definitions.items())
        }
        return Catalogue(nodes=nodes, files=dict(files or {}), failures=dict(self.failures))


def _import_file(name: str, source: Path) -> ModuleType:
    parent = name.rpartition(".")[0]
    if parent not in sys.modules:
        sys.modules[parent] = ModuleType(parent)
    spec = importlib.util.spec_from_file_location(
        name, source, submodule_search_locations=[str(source.parent)] if source.stem == "__init__" else None
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} is not a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
