"""Where the tensors of a network lie, as a value: files, names and configuration, but no tensor."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import MissingFile, ModelFormatError, named


@dataclass(frozen=True)
class FileStamp:
    """A file as it was when it was looked at: path, size in bytes, time of its last change in nanoseconds."""

    path: str
    size: int
    modified_ns: int

    def check(self) -> None:
        """Raise MissingFile or ModelFormatError if the file is gone or another one now."""
        try:
            status = Path(self.path).stat()
        except OSError as error:
            raise MissingFile(f"The model file {named(Path(self.path))} is gone.", hint="Put it back, or load another model.") from error
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            raise ModelFormatError(f"The model file {named(Path(self.path))} has changed since it was loaded.", hint="Run it again.")


@dataclass(frozen=True)
class Weights:
    """The weights of one network in files.

    family: name of an entry of the family table; part: which of its networks ("unet", "vae", "text_encoder", ...).
    prefix: of the tensors' names within the files. config: the network's constructor arguments, as JSON with sorted keys.
    Equal values stand for equal numbers, so this is the key of what is loaded.
    """

    family: str
    part: str
    files: tuple[FileStamp, ...]
    prefix: str
    config: str

    @property
    def arguments(self) -> dict[str, Any]:
        return json.loads(self.config)

    def check(self) -> None:
        """Raise MissingFile or ModelFormatError if a file is not what it was."""
        for file in self.files:
            file.check()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(record: dict[str, Any]) -> Weights:
        files = tuple(FileStamp(**file) for file in record["files"])
        return Weights(**{**record, "files": files})
