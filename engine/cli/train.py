"""`easel train`: a folder of pictures to a LoRA, by the workflow train_lora.json with the values of a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import HOW_TO_COMPUTE, WHERE_TO_FIND, with_settings
from engine.settings import Settings


@with_settings(*WHERE_TO_FIND, *HOW_TO_COMPUTE)
def train(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The pictures, with captions in .txt files if there are any.")],
    base: Annotated[str, typer.Option(metavar="MODEL", help="A file of models/checkpoints that is taught.")] = "tiny-shapes.safetensors",
    trigger: Annotated[str, typer.Option(metavar="WORDS", help="The words that shall stand for the subject: 'sks dog'.")] = "",
    class_word: Annotated[str, typer.Option("--class", metavar="WORD", help="What the subject is one of: dog.")] = "",
    out: Annotated[
        str, typer.Option(metavar="NAME", help="The LoRA becomes models/loras/NAME.safetensors of the data folder.")
    ] = "trained",
    preset: Annotated[
        str, typer.Option(metavar="PRESET", help="A file of workflows/presets, or a path to one. auto: by the size of the model.")
    ] = "auto",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.INPUT=VALUE",
            help="Another value for an input of the workflow: plan.steps=500. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a LoRA on a folder of pictures and draw a sample with it. Exit code 1 when it cannot run or a node failed."""
    from engine.cli.training import run_training

    if not run_training(
        settings, folder, base=base, trigger=trigger, class_word=class_word, out=out, preset=preset, changes=assignments or []
    ):
        raise typer.Exit(1)
