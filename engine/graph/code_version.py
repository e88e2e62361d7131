"""Code versions: one digest for all first-party source that a node's module can reach by imports.

The digest changes when behaviour may change, and only then: comments, docstrings and layout do not count, nor does a module that nothing
reaches, nor `engine.graph` itself (how nodes are declared and run is not what they compute). Nothing is imported to find this out: sources
are read and parsed, and what was found is kept by each file's modification time and size.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.whole_files import replacing

FIRST_PARTY = ("engine", "nodes")
LEFT_OUT = ("engine.graph",)

_ONE_AT_A_TIME = threading.Lock()  # Python 3.11 raises SystemError when two threads parse at the same time


class CodeVersions:
    """Answers `of(module)` for modules below the first-party packages and below the module's own top package.

    packages: where top packages lie (directory, or a single file); those that are not given are looked up among the loaded modules.
    store: a JSON file that keeps what was parsed between runs, or None.
    """

    def __init__(self, packages: Mapping[str, Path] | None = None, store: Path | None = None) -> None:
        self._packages = dict(packages or {})
        self._store = store
        self._files: dict[str, list] = _load(store)  # path -> [mtime_ns, size, digest, imported names]
        self._modules: dict[str, tuple[str, tuple[str, ...]]] = {}  # module -> (digest, modules it imports)
        self._versions: dict[str, str] = {}
        self._changed = False
        self._since = time.time_ns()

    def of(self, module: str) -> str:
        """The code version of a module, 32 hex digits.

        Empty, so that such a node is never taken from a cache, when its source cannot be found or is younger than this object: what runs
        was loaded before, and its results must not be kept under the name of the new code.
        """
        with _ONE_AT_A_TIME:
            if module not in self._versions:
                self._versions[module] = self._compute(module)
                self._save()
            return self._versions[module]

    def reached(self, module: str) -> tuple[str, ...]:
        """The modules whose sources count for `module`, sorted."""
        allowed = (*FIRST_PARTY, module.partition(".")[0])
        seen = {module} if self._find(module) else set()
        waiting = list(seen)
        while waiting:
            for name in self._read(waiting.pop())[1]:
                if name not in seen and name.partition(".")[0] in allowed and self._find(name):
                    seen.add(name)
                    waiting.append(name)
        return tuple(sorted(seen))

    def _compute(self, module: str) -> str:
        reached = self.reached(module)
        if not reached or any(self._is_younger(name) for name in reached):
            return ""
        digest = hashlib.blake2b(digest_size=16)
        for name in reached:
            digest.update(f"{name}:{self._read(name)[0]}\n".encode())
        return digest.hexdigest()

    def _is_younger(self, module: str) -> bool:
        path = self._find(module)
        if path is None:
            return False
        status = path.stat()
        changed = status.st_ctime_ns if os.name == "posix" else status.st_mtime_ns  # a copied file may bring an old time of change
        return changed > self._since

    def _find(self, module: str) -> Path | None:
        """The source file of a module, or None; `engine.graph` and what lies below it are never found."""
        if any(module == name or module.startswith(name + ".") for name in LEFT_OUT):
            return None
        root, rest = self._root(module)
        if root is None:
            return None
        if root.is_file():
            return root if not rest else None
        path = root.joinpath(*rest)
        for candidate in (path / "__init__.py", path.with_name(path.name + ".py")):
            if candidate.is_file():
                return candidate
        return None

    def _root(self, module: str) -> tuple[Path | None, list[str]]:
        """The folder or file of the outermost package of a module that has one, and the names below it.

        It is the top package, but for packs of a custom_nodes folder, whose top package is only a name.
        """
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            package = ".".join(parts[:end])
            root = self._packages.get(package) or self._loaded(package)
            if root is not None:
                return root, parts[end:]
        return None, []

    def _loaded(self, package: str) -> Path | None:
        module = sys.modules.get(package)
        if module is None:
            return None
        folders = list(getattr(module, "__path__", ()))
        file = getattr(module, "__file__", None)
        root = Path(folders[0]) if folders else Path(file) if file and file.endswith(".py") else None
        if root is not None:
            self._packages[package] = root
        return root

    def _read(self, module: str) -> tuple[str, tuple[str, ...]]:
        known = self._modules.get(module)
        if known is not None:
            return known
        path = self._find(module)
        if path is None:
            return "", ()
        status = path.stat()
        entry = self._files.get(str(path))
        if entry is None or entry[:2] != [status.st_mtime_ns, status.st_size]:
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            digest, imports = read_source(path.read_bytes(), package)
            entry = [status.st_mtime_ns, status.st_size, digest, imports]
            self._files[str(path)] = entry
            self._changed = True
        found = (entry[2], tuple(entry[3]))
        self._modules[module] = found
        return found

    def _save(self) -> None:
        if self._store is None or not self._changed:
            return
        self._changed = False
        self._store.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._store) as part:
            part.write_text(json.dumps(self._files), encoding="utf-8")


def read_source(source: bytes, package: str) -> tuple[str, list[str]]:
    """The digest of a source without comments and docstrings, and the modules that it may import (`package` resolves relative names)."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.blake2b(source, digest_size=16).hexdigest(), []
    imports = sorted(set(_imports(tree, package)))
    for item in ast.walk(tree):
        if (
            isinstance(item, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(item, clean=False) is not None
        ):
            item.body = item.body[1:]
    return hashlib.blake2b(ast.dump(tree).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(), imports


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Import):
            for alias in item.names:
                yield from _with_parents(alias.name)
        elif isinstance(item, ast.ImportFrom):
            base = _absolute(item, package)
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in item.names)
        elif isinstance(item, ast.Call) and _is_import_module(item):
            yield from _with_parents(item.args[0].value)  # type: ignore[attr-defined]
        if isinstance(item, ast.If) and _is_type_checking(item.test):
            waiting.extend(item.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(item))


def _absolute(item: ast.ImportFrom, package: str) -> str:
    if not item.level:
        return item.module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - item.level + 1]
    return ".".join([*kept, item.module] if item.module else kept)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING")


def _is_import_module(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    return name == "import_module" and bool(call.args) and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)


def _load(store: Path | None) -> dict[str, list]:
    if store is None or not store.is_file():
        return {}
    try:
        entries = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {path: entry for path, entry in entries.items() if isinstance(entry, list) and len(entry) == 4}
