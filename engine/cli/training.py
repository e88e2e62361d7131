"""Putting together the workflow of `easel train`: the values of a preset, then what the command says."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.cli.assignments import assign
from engine.cli.execution import read_workflow, run_workflow
from engine.errors import InvalidInput, InvalidWorkflow, MissingFile, Problem
from engine.graph.folders import EXAMPLE_WORKFLOWS, Folders
from engine.graph.limits import Limits
from engine.graph.workflow import Workflow
from engine.settings import Settings

PRESETS = EXAMPLE_WORKFLOWS / "presets"
SMALL_WIDTH = 256
"""Channels of a U-Net's first level below which a model is of the embedded one's kind; Stable Diffusion has 320."""


def run_training(
    settings: Settings, folder: Path, *, base: str, trigger: str, class_word: str, out: str, preset: str, changes: Sequence[str]
) -> bool:
    """Train and print the paths of what was written. True when every node that should run did."""
    root = folder.absolute()
    if not root.is_dir():
        raise MissingFile(f"There is no folder {folder}.", hint="Name the folder that holds the pictures.")
    settings = settings.model_copy(update={"datasets": (*settings.datasets, root)})
    values = preset_values(settings, base, preset)
    workflow = read_workflow(EXAMPLE_WORKFLOWS / "train_lora.json", Limits.of(settings))
    set_values(workflow, values)
    told = {
        "checkpoint.ckpt_name": base,
        "pictures.folder": root.name,
        "pictures.trigger": trigger,
        "pictures.class_word": class_word,
        "save.name": out,
        "save.trigger": trigger,
        "positive.text": trigger or root.name,
        "sample.filename_prefix": out,
        "curve.filename_prefix": f"{out}_loss",
    }
    set_values(workflow, told)
    assign(workflow, changes)
    try:
        return run_workflow(settings, workflow, None)
    except InvalidWorkflow as error:
        raise InvalidWorkflow([_told_folder(problem, settings, root) for problem in error.problems]) from error


def _told_folder(problem: Problem, settings: Settings, root: Path) -> Problem:
    """A run here knows the folder; a server that has the data folder open knows only its own, and says so of the name."""
    if (problem.code, problem.node_id, problem.input) != ("value_not_in_list", "pictures", "folder"):
        return problem
    hint = f"Put the pictures into {settings.data / 'datasets' / root.name}, start the server with --datasets {root}, or stop it."
    return replace(problem, message=f"The server that has the data folder open does not know the folder {root}.", hint=hint)


def preset_values(settings: Settings, base: str, preset: str) -> dict[str, Any]:
    """The values of a preset: of the shipped one of this name, of a file, or of the shipped one that fits the model."""
    if preset == "auto":
        preset = _fitting(settings, base)
    path = PRESETS / f"{preset}.toml" if (PRESETS / f"{preset}.toml").is_file() else Path(preset)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in PRESETS.glob("*.toml")))
        raise MissingFile(f"There is no preset {preset}.", hint=f"There are {known}; or give the path of a file.") from error
    except ValueError as error:
        raise InvalidInput(f"The preset {path} cannot be read: {error}.", hint="It is a TOML file with a table [values].") from error
    values = document.get("values")
    if not isinstance(values, dict):
        raise InvalidInput(f"The preset {path} has no table [values].", hint='Write `"plan.steps" = 500` and the like below [values].')
    return values


def _fitting(settings: Settings, base: str) -> str:
    from engine.diffusion.checkpoints import load_checkpoint

    weights = load_checkpoint(Folders.of(settings).resolve("checkpoints", base)).model.weights
    return "tiny" if weights.arguments["block_out_channels"][0] < SMALL_WIDTH else weights.family


def set_values(workflow: Workflow, values: dict[str, Any]) -> None:
    """Put values at `node.input`. Raises InvalidInput for a node or an input that the workflow does not have."""
    for place, value in values.items():
        node, _, name = place.partition(".")
        entry = workflow.nodes.get(node)
        if entry is None or not name:
            raise InvalidInput(f"The training workflow has no node {node!r}.", hint=f"Its nodes are {', '.join(workflow.nodes)}.")
        entry.inputs[name] = value
