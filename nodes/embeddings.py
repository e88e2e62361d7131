"""Learned words (textual inversion): from a file to a text encoder that knows them, and back into a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from engine.diffusion.text.chunks import called
from engine.diffusion.text.embedding_files import load_embedding, save_embedding
from engine.diffusion.text.embeddings import Words
from engine.graph import Choice, Context, Shown, Widget, node
from engine.values.embedding import Embedding
from engine.values.model import Clip

FOLDER = "embeddings"
Name = Annotated[str, Field(pattern=r"^[^\s,]*$"), Widget(multiline=False)]


def words_of(ctx: Context) -> Words:
    """The embeddings folders, and warnings that go to who runs the job."""
    return Words(ctx.folders.list(FOLDER), partial(ctx.folders.resolve, FOLDER), ctx.warn)


def called_files(ctx: Context, text: str) -> list[list[str | int]]:
    """What decides a prompt's meaning besides its text: the embedding files it calls, as they are now."""
    names = {spelling for name in called(text) for spelling in (name, name.strip(","))}
    if not names:
        return []
    words = words_of(ctx)
    return stamps(ctx, {file for name in names if (file := words.file_of(name)) is not None})


def stamps(ctx: Context, files: set[str]) -> list[list[str | int]]:
    """Name, size and time of change of embedding files."""
    found = [(file, ctx.folders.resolve(FOLDER, file).stat()) for file in sorted(files)]
    return [[file, status.st_size, status.st_mtime_ns] for file, status in found]


@node("LoadEmbedding", category="loaders", display_name="Load Embedding", lane="io")
def load(ctx: Context, embedding_name: Annotated[str, Choice(FOLDER)]) -> Embedding:
    """Read a learned word (textual inversion) from a file of the folder models/embeddings.

    Prompts find the files of that folder by themselves, as `embedding:name`; this node is for changing or passing on the word itself.
    """
    return load_embedding(ctx.folders.resolve(FOLDER, embedding_name))


@node("ApplyEmbedding", category="conditioning", display_name="Apply Embedding")
def apply(clip: Clip, embedding: Embedding, name: Name = "") -> Clip:
    """Teach a text encoder a learned word, so that prompts can call it as `embedding:name`.

    embedding: from a file, or just trained.
    name: what prompts call it by, without spaces and commas; empty for the name it has.
    """
    return clip.with_embedding(Embedding(name or embedding.name, embedding.vectors, embedding.metadata))


@node("SaveEmbedding", category="advanced/model_saving", display_name="Save Embedding", output_node=True, lane="io")
def save(ctx: Context, embedding: Embedding, filename_prefix: Annotated[str, Widget(multiline=False)] = "embeddings/easel") -> Shown:
    """Write a learned word as a safetensors file that ComfyUI, AUTOMATIC1111 and diffusers read.

    filename_prefix: the name's beginning; what lies in output/embeddings can be called in prompts at once.
    """
    record = ctx.folders.save("output", filename_prefix, ".safetensors", partial(_write, embedding))
    return Shown({"text": [f"{record['subfolder']}/{record['filename']}".lstrip("/")]})


def _write(embedding: Embedding, path: Path) -> None:
    save_embedding(path, embedding)
