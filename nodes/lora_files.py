"""LoRAs as files: saving them, in the layouts of several programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

from engine.diffusion.adapters.layouts import LayoutName
from engine.diffusion.adapters.metadata import About, Level
from engine.diffusion.adapters.saving import FormatName, Style, Written, write_lora
from engine.graph import Context, Shown, Widget, node
from engine.values.lora import Lora

Line = Annotated[str, Widget(multiline=False)]


@node("SaveLoRA", category="loaders", display_name="Save LoRA", output_node=True, lane="io")
def save_lora(
    ctx: Context,
    lora: Lora,
    name: Line = "my_lora",
    layout: LayoutName = "kohya",
    dtype: FormatName = "float16",
    metadata: Level = "full",
    title: Line = "",
    trigger: Line = "",
    author: Line = "",
    replace: bool = False,
) -> Shown:
    """Write a LoRA to models/loras, where Load LoRA finds it. The file counts only when it was read back and compared.

    name: of the file, without its end; a slash makes a folder.
    replace: put it in place of a file of that name; else that one stays, and the new one's name gets a number (`my_lora_2`).
    layout: kohya is read by every program and holds adapters of every kind; diffusers and peft hold LoRA only.
    dtype: number format of the matrices. Where it cannot hold them, as float16 after a few steps of training, they are float32, with a
        warning.
    metadata: full, with everything that a training wrote; minimal, what describes the file itself; or none.
    title, author: of the LoRA, as model managers show them.
    trigger: the words that call its subject.
    """
    about = About(name=PurePosixPath(name).name.removesuffix(".safetensors"), title=title, author=author, trigger=trigger)
    style = Style(layout, dtype, metadata, about)
    found: list[Written] = []
    saved = ctx.folders.save_model("loras", name, ".safetensors", partial(write_file, lora, style, found), replace=replace)
    if saved.removesuffix(".safetensors") != name.removesuffix(".safetensors"):
        ctx.warn(f"There was a LoRA {name} already. It stays; the new one is {saved}.", "Turn `replace` on to have it replaced.")
    return Shown({"text": [f"{saved}: {told_of(ctx, found[0])}"], "loras": [{"name": saved}]})


@node("SaveLoRANode", category="loaders", display_name="Save LoRA Weights", experimental=True, output_node=True, lane="io")
def save_lora_node(
    ctx: Context,
    lora: Lora,
    prefix: Annotated[str, Widget()] = "loras/ComfyUI_trained_lora",
    steps: Annotated[int | None, Widget(socket_only=True)] = None,
) -> Shown:
    """Write a LoRA to a new file of the output folder, in kohya's layout.

    prefix: the name's beginning; a slash makes a folder.
    steps: of its training, for the name.
    """
    found: list[Written] = []
    beginning = prefix if steps is None else f"{prefix}_{steps}_steps"
    record = ctx.folders.save("output", beginning, ".safetensors", partial(write_file, lora, Style(), found))
    return Shown({"text": [f"{record['filename']}: {told_of(ctx, found[0])}"], "loras": [record]})


def write_file(lora: Lora, style: Style, found: list[Written], path: Path) -> None:
    found.append(write_lora(path, lora, style))


def told_of(ctx: Context, written: Written) -> str:
    """A line about a file; a warning where it is in another number format than was asked for."""
    if written.reason:
        ctx.warn(f"The LoRA is saved as {written.dtype}, as {written.reason}.", "A longer training leaves larger numbers.")
    exactness = written.exactness
    return f"{exactness.modules} modules as {written.dtype}; read back, the largest error of one is {exactness.error:.1e}"
