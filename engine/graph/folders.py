"""The data folder and the model folders: what lies where, what is in it, and the one way from a name from outside to a path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import engine
from engine.errors import InvalidSettings, MissingFile
from engine.graph.file_digests import FileDigests
from engine.graph.file_listing import FileListing
from engine.graph.literals import brief, nearest
from engine.graph.model_folders import (
    FILE_ROOTS,
    KIND_SUFFIXES,
    MODEL_FOLDERS,
    OLD_KEYS,
    SAVED_MODELS,
    SUFFIXES,
    existing_folders,
    read_extra_model_paths,
    standard_folders,
)
from engine.graph.paths import inside, parts_of
from engine.graph.saving import expand_prefix, save_named, save_new

LAYOUT = ("models", "input", "output", "temp", "datasets", "workflows", "wildcards", "styles", "custom_nodes", "user", "state")
PROMPTS = ("wildcards", "styles")
EXTRA_PATHS = "extra_model_paths.yaml"
_PACKAGE = Path(engine.__file__).parent
EMBEDDED_MODELS = _PACKAGE / "models"
EXAMPLE_WORKFLOWS = _PACKAGE.parent / "workflows"


class FolderSettings(Protocol):
    """The settings that say where things lie."""

    @property
    def data(self) -> Path: ...
    @property
    def models(self) -> tuple[Path, ...]: ...
    @property
    def datasets(self) -> tuple[Path, ...]: ...
    @property
    def extra_model_paths(self) -> Path | None: ...


class Folders:
    """Folders by key: a kind of model (`checkpoints`, `loras`, ...), `input`, `output`, `temp`, `datasets` or `workflows`.

    `input:image` and the like are the files of one kind (image, latent, audio, video, model, config) in such a folder.
    Nothing is made on disk until `create` or `save`.
    """

    def __init__(
        self,
        data: Path | str,
        *,
        models: Sequence[Path | str] = (),
        extra_model_paths: Path | str | None = None,
        output: Path | str | None = None,
        datasets: Sequence[Path | str] = (),
    ) -> None:
        """models: further models directories, used in place. extra_model_paths: default the file of that name in the data folder.

        output: another folder than the data folder's for what is saved. datasets: folders of training pictures elsewhere, each offered
        under its own name, before one of the same name in the data folder.
        """
        self.data = Path(data).absolute()
        self.models, self.input, self.output, self.temp, self.datasets, self.workflows = (self.data / name for name in LAYOUT[:6])
        self.user, self.state = self.data / "user", self.data / "state"
        if output is not None:
            self.output = Path(output).absolute()
        self.custom_nodes = [self.data / "custom_nodes"]
        self._folders = {**standard_folders(self.models), **{name: [self.data / name] for name in PROMPTS}}
        for directory in models:
            self._append(existing_folders(Path(directory).absolute()))
        self._add_extra(extra_model_paths)
        for name in SAVED_MODELS:
            self._folders[OLD_KEYS.get(name, name)].append(self.output / name)
        self._append({key: [EMBEDDED_MODELS / name for name in names] for key, names in MODEL_FOLDERS.items()})
        self._model_roots = [folder for folders in self._folders.values() for folder in folders]
        self._folders.update({name: [getattr(self, name)] for name in ("input", "output", "temp", "datasets", "workflows")})
        self._folders["workflows"].append(EXAMPLE_WORKFLOWS)
        self._datasets = _by_name([Path(path).absolute() for path in datasets])
        self._listing = FileListing()
        self._digests = FileDigests(self.state / "file_digests.sqlite")

    @classmethod
    def of(cls, settings: FolderSettings, *, output: Path | None = None) -> Folders:
        """The folders that the settings name."""
        return cls(
            settings.data,
            models=settings.models,
            extra_model_paths=settings.extra_model_paths,
            output=output,
            datasets=settings.datasets,
        )

    def _append(self, found: Mapping[str, list[Path]]) -> None:
        for key, paths in found.items():
            known = self._folders.setdefault(key, [])
            known.extend(path for path in paths if path not in known)

    def _add_extra(self, file: Path | str | None) -> None:
        path = Path(file).absolute() if file is not None else self.data / EXTRA_PATHS
        if file is None and not path.is_file():
            return
        for key, folder, first in read_extra_model_paths(path):
            known = self.custom_nodes if key == "custom_nodes" else self._folders.setdefault(key, [])
            if folder in known:
                known.remove(folder)
            known.insert(0 if first else len(known), folder)

    def create(self) -> None:
        """Make the data folder with everything that belongs in it."""
        for name in LAYOUT:
            (self.data / name).mkdir(parents=True, exist_ok=True)
        for names in MODEL_FOLDERS.values():
            (self.models / names[-1 if names[0] == "unet" else 0]).mkdir(exist_ok=True)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._folders)

    def directories(self, key: str) -> list[Path]:
        """The folders of a key in the order they are searched; MissingFile for a key that nobody has named."""
        root = key.partition(":")[0]
        root = OLD_KEYS.get(root, root)
        if root not in self._folders:
            hint = nearest(root, list(self._folders)) or f"Make {self.models / 'NAME'}, or name it in {EXTRA_PATHS}."
            raise MissingFile(f"There is no folder of the kind {brief(root)}.", hint=hint)
        return self._folders[root]

    def list(self, key: str) -> tuple[str, ...]:
        """Relative names with `/` of what a key offers, sorted; of equal names only the first that `resolve` would find."""
        allowed = self._allowed(key)
        names: dict[str, None] = {}
        for folder in self.directories(key):
            names.update(dict.fromkeys(self._listing.names(folder, key, _rule(key), allowed)))
        if key == "datasets":
            names.update(dict.fromkeys(self._datasets))
        elif key.startswith("datasets:"):
            for own, folder in self._datasets.items():
                names.update({f"{own}/{name}": None for name in self._listing.names(folder, key, _rule(key))})
        return tuple(sorted(names))

    def listing(self, keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The `files` of a catalogue; keys that no folder is known for are left out."""
        return {key: self.list(key) for key in keys if OLD_KEYS.get(key.partition(":")[0], key.partition(":")[0]) in self._folders}

    def resolve(self, key: str, name: str) -> Path:
        """The existing file (or dataset, or diffusers folder) of this name. Raises UnsafePath or MissingFile.

        A name under input, output or temp may say where it is: `a.png [output]`.
        """
        key, name = _marked(key, name)
        wants_folder = key in ("diffusers", "datasets")
        for path in self._candidates(key, name):
            if path.is_dir() if wants_folder else path.is_file():
                return path
        hint = nearest(name, self.list(key)) or f"Put it into {self.directories(key)[0]}."
        raise MissingFile(f"There is no file {brief(name)} in {key}.", hint=hint, details={"folder": key, "name": name})

    def _candidates(self, key: str, name: str) -> Iterator[Path]:
        """Where a name may lie, in the order it is looked for. Raises UnsafePath."""
        if key.partition(":")[0] == "datasets":
            first, *rest = parts_of(name)
            if first in self._datasets:
                yield inside(self._datasets[first], "/".join(rest)) if rest else self._datasets[first]
        for folder in self.directories(key):
            yield inside(folder, name, self._allowed(key))

    def files(self, key: str, name: str) -> tuple[Path, tuple[str, ...]]:
        """A folder that `resolve` finds, and the names of all files below it: relative with `/`, sorted, no link leading out."""
        path = self.resolve(key, name)
        return path, self._listing.names(path, "everything", _is_file)

    def dataset_at(self, path: str) -> str | None:
        """The name of the dataset folder with this absolute path, None for a path outside them."""
        roots = {"": self.datasets, **self._datasets}
        for name, root in roots.items():
            if Path(path).is_relative_to(root):
                return "/".join(part for part in (name, *Path(path).relative_to(root).parts) if part) or None
        return None

    def digest(self, key: str, name: str) -> str:
        """SHA-256 of a file as `sha256:...`, of a folder that of its files' names and digests."""
        path = self.resolve(key, name)
        if path.is_file():
            return self._digests.digest(path)
        total = hashlib.sha256()
        for relative in self._listing.names(path, "everything", _is_file, [path]):
            total.update(f"{relative}\0{self._digests.digest(path / relative)}\n".encode())
        return f"sha256:{total.hexdigest()}"

    def known_digest(self, key: str, name: str) -> str | None:
        """As `digest` of a file, if it was made before: nothing is read."""
        path = self.resolve(key, name)
        return self._digests.known(path) if path.is_file() else None

    def save(
        self,
        root: str,
        prefix: str,
        suffix: str,
        write: Callable[[Path], None],
        *,
        tokens: Mapping[str, object] | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """Write a new file into `output`, `temp` or `input` (see saving.save_new); returns its record: filename, subfolder, type.

        prefix: may hold sub-folders and `%width%`-like names from `tokens`, or the time.
        """
        home = {"output": self.output, "temp": self.temp, "input": self.input}[root]
        path = save_new(home, expand_prefix(prefix, tokens or {}, now or datetime.now()), suffix, write)
        return self.record(root, path)

    def save_model(self, key: str, name: str, suffix: str, write: Callable[[Path], None], *, replace: bool = False) -> str:
        """Write a model file of a kind under the data folder (see saving.save_named); returns the name that lists and `resolve` have for
        it."""
        home = self.directories(key)[0]
        return save_named(home, name, suffix, write, replace=replace).relative_to(home).as_posix()

    def record(self, root: str, path: Path) -> dict[str, Any]:
        """How a client is told of a file below `output`, `temp` or `input`."""
        relative = path.relative_to({"output": self.output, "temp": self.temp, "input": self.input}[root])
        subfolder = "" if relative.parent == Path() else relative.parent.as_posix()
        return {"filename": relative.name, "subfolder": subfolder, "type": root}

    def _allowed(self, key: str) -> Sequence[Path]:
        return self._model_roots if key.partition(":")[0] not in (*FILE_ROOTS, "datasets", "workflows") else ()


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Dataset folders by their own names. Raises MissingFile, InvalidSettings (one name twice), or UnsafePath (a name none can ask for)."""
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise MissingFile(f"The dataset folder {folder} does not exist.", hint="Correct --datasets, or make the folder.")
        if folder.name in found:
            raise InvalidSettings(f"The dataset folders {found[folder.name]} and {folder} have one name.", hint="Rename one of them.")
        parts_of(folder.name)
        found[folder.name] = folder
    return found


def _marked(key: str, name: str) -> tuple[str, str]:
    """`("input", "a.png [output]")` -> `("output", "a.png")`."""
    root, colon, kind = key.partition(":")
    if root in FILE_ROOTS and isinstance(name, str) and name.endswith("]"):
        for other in FILE_ROOTS:
            if name.endswith(f" [{other}]"):
                return f"{other}{colon}{kind}", name.removesuffix(f" [{other}]")
    return key, name


_SUFFIXES = {"workflows": {".json"}, "configs": {".yaml", ".yml"}, "wildcards": {".txt"}, "styles": {".csv"}}


def _rule(key: str) -> Callable[[os.DirEntry[str]], bool]:
    """Which entries of a folder a key lists."""
    root, _, kind = key.partition(":")
    if root == "diffusers":
        return lambda entry: entry.is_dir() and os.path.isfile(os.path.join(entry.path, "model_index.json"))
    if key == "datasets":
        return lambda entry: entry.is_dir()
    suffixes = KIND_SUFFIXES.get(kind) if kind else _SUFFIXES.get(root)
    if suffixes is None and root in MODEL_FOLDERS:
        suffixes = SUFFIXES
    if suffixes is None:
        return _is_file
    return lambda entry: os.path.splitext(entry.name)[1].lower() in suffixes and _is_file(entry)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
