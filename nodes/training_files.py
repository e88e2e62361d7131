"""The adapter as a file each time the state of its training is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from pydantic import Field

from engine.diffusion.adapters.metadata import About
from engine.diffusion.adapters.saving import FormatName, Style, Written
from engine.diffusion.training.event_file import write_events
from engine.diffusion.training.kept_files import TRAINING_KEY, drop_older, is_kept, steps_of
from engine.graph import Context, Shown, Widget, node
from engine.graph.paths import inside
from engine.graph.saving import save_named
from engine.values.lora import Lora
from engine.values.training import FilePlan, LossCurve, Steps
from nodes.lora_files import told_of, write_file

KeepLast = Annotated[int, Field(ge=0, le=10_000)]
Line = Annotated[str, Widget(multiline=False)]


@node("TrainingFiles", category="training", display_name="Training Files")
def training_files(name: Line = "my_lora", keep_last: KeepLast = 0, dtype: FormatName = "float16", tensorboard: bool = False) -> FilePlan:
    """Write the adapter to models/loras each time the state is kept, so that the best of several steps can be chosen.

    name: of the files, before `-step000250`; a slash makes a folder.
    keep_last: how many of the newest stay; older ones of the same training are removed. 0: all stay.
    dtype: number format of the matrices.
    tensorboard: also write the curve as event files of TensorBoard to output/tensorboard; needs the package tensorboardX.
    """
    return FilePlan(name=name, keep_last=keep_last, dtype=dtype, tensorboard=tensorboard)


@node("TensorBoardLog", category="training", display_name="TensorBoard Log", output_node=True, lane="io")
def tensorboard_log(ctx: Context, loss: LossCurve, name: Line = "my_lora", first: Annotated[int, Field(ge=0, le=10_000_000)] = 0) -> Shown:
    """Write the curve of a training as an event file for TensorBoard (`tensorboard --logdir output/tensorboard`).

    name: of the folder below output/tensorboard; a file of the same last step in it is replaced.
    first: leave out the steps up to this one.
    """
    last = loss.steps[-1][0] if loss.steps else 0
    path = f"tensorboard/{name}/events.out.tfevents.{last:010}"
    written: list[int] = []
    save_named(ctx.folders.output, path, "", lambda part: written.append(write_events(part, loss, first)), replace=True)
    return Shown({"text": [f"{path}: {written[0]} events"]})


@node("SaveTrainingFile", category="training/parts", output_node=True, lane="io")
def save_training_file(ctx: Context, lora: Lora, step: Steps, training: Line, name: Line, keep_last: KeepLast, dtype: FormatName) -> Shown:
    """Write the adapter of a step and remove the files of older steps of the same training: a part of Train LoRA.

    training: what tells the training from others; only files that say it are removed.
    """
    home = ctx.folders.directories("loras")[0]
    stem = name.rpartition("/")[2] + "-step"
    folder = inside(home, f"{name}-step").parent
    found = steps_of(folder, stem, training)
    if not is_kept(step, found, keep_last):
        return Shown({"text": [f"step {step}: {keep_last} newer files of this training are there"]})
    written: list[Written] = []
    marked = replace(lora, metadata={**lora.metadata, TRAINING_KEY: training})
    style = Style(dtype=dtype, about=About(name=f"{stem}{step:06}"))
    write = partial(write_file, marked, style, written)
    saved = ctx.folders.save_model("loras", f"{name}-step{step:06}", ".safetensors", write, replace=step in found)
    dropped = drop_older(steps_of(folder, stem, training), keep_last)
    text = f"{saved}: {told_of(ctx, written[0])}" + "".join(f"\n{path.name} removed" for path in dropped)
    return Shown({"text": [text], "loras": [{"name": saved}]})
