"""The learned words that prompts may call by name: those a text encoder was given, and files of the embeddings folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path, PurePosixPath

from torch import Tensor

from engine.diffusion.text.embedding_files import SUFFIXES, load_embedding
from engine.values.embedding import Embedding
from engine.values.model import Clip

Warn = Callable[[str, str], None]
"""(what happened, what to do about it)."""


def ignore(message: str, hint: str) -> None:
    """For callers that show no warnings."""


@dataclass(frozen=True)
class Words:
    """Where learned words are looked up.

    files: relative names with `/` of the files in the embeddings folders. path_of: such a name -> the file. warn: hears of names that
    nobody knows and of vectors that do not fit.
    """

    files: Sequence[str] = ()
    path_of: Callable[[str], Path] = Path
    warn: Warn = ignore

    def for_encoder(self, clip: Clip, encoder: str, width: int) -> EncoderWords:
        """The words that this text encoder can read."""
        return EncoderWords(self, clip.embeddings, encoder, width)

    def file_of(self, name: str) -> str | None:
        """The file that a name in a prompt stands for: itself, else with an ending, in every folder and sub-folder; outer ones first."""
        wanted = [name, *(name + suffix for suffix in SUFFIXES)] if name else []
        best: tuple[int, str, int, str] | None = None
        for file in self.files:
            for rank, ending in enumerate(wanted):
                if file == ending or file.endswith(f"/{ending}"):
                    folder = file[: len(file) - len(ending)]
                    best = min(best or (folder.count("/"), folder, rank, file), (folder.count("/"), folder, rank, file))
        return best[3] if best else None

    def named(self, clip: Clip) -> list[str]:
        """The names that prompts may use, those of files without folder and ending."""
        stems = [PurePosixPath(file).stem for file in self.files if PurePosixPath(file).suffix in SUFFIXES]
        return list(dict.fromkeys([*(embedding.name for embedding in clip.embeddings), *stems]))

    def unknown(self, name: str, clip: Clip) -> None:
        """Warn of a name that stands for nothing."""
        near = get_close_matches(name[:100], self.named(clip), n=3, cutoff=0.5)
        hint = (
            f"Did you mean {' or '.join(near)}?" if near else "Put the file into models/embeddings, or apply the embedding to the encoder."
        )
        self.warn(f"There is no embedding {name[:100]!r}; the prompt goes on without it.", hint)


@dataclass
class EncoderWords:
    """Learned words as one text encoder reads them."""

    words: Words
    given: Iterable[Embedding]
    encoder: str
    width: int
    _told: set[str] = field(default_factory=set)

    def find(self, name: str) -> Sequence[Tensor] | None:
        """The vectors [D] of a name; None if nobody knows it, none of them if they do not fit, which is warned of.

        Raises ModelFormatError for a damaged file.
        """
        embedding = next((one for one in reversed(tuple(self.given)) if one.name == name), None) or self._from_file(name)
        if embedding is None:
            return None
        vectors = embedding.of(self.encoder)
        if vectors is None or vectors.shape[1] != self.width:
            self._misfit(name, embedding)
            return ()
        return tuple(vectors)

    def _from_file(self, name: str) -> Embedding | None:
        file = self.words.file_of(name)
        if file is None:
            return None
        path = self.words.path_of(file)
        status = path.stat()
        return _loaded(path, status.st_size, status.st_mtime_ns)

    def _misfit(self, name: str, embedding: Embedding) -> None:
        if name in self._told:
            return
        self._told.add(name)
        widths = ", ".join(f"{key} {value.shape[1]}" if key != "*" else str(value.shape[1]) for key, value in embedding.vectors.items())
        file = self.words.file_of(name) or name
        self.words.warn(
            f"The embedding {file} has vectors of width {widths}, the text encoder {self.encoder} reads {self.width}; it is left out.",
            "Use an embedding that was made for this family of models.",
        )


@lru_cache(maxsize=64)
def _loaded(path: Path, size: int, modified_ns: int) -> Embedding:
    return load_embedding(path)
