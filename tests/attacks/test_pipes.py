"""Named pipes where files are expected, as an archive may unpack them: opening one waits for ever, so none is opened."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.checkpoint_files import COMPONENTS, LONGEST_CONFIG, read_contents
from engine.errors import EaselError, MissingFile, ModelFormatError
from engine.graph.folders import Folders
from engine.server.model_details import describe


def ended(work: Callable[[], Any]) -> Any:
    """What it gives or raises, if it ends at all."""
    found: list[Any] = []

    def try_it() -> None:
        try:
            found.append(work())
        except EaselError as error:
            found.append(error)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(60)
    assert found
    return found[0]


@pytest.mark.parametrize("end", [".json", ".civitai.info"])
def test_beside_a_model_it_says_nothing(tmp_path: Path, end: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    os.mkfifo(tmp_path / f"model{end}")
    assert ended(lambda: describe(tmp_path / "model.safetensors"))["title"] == "model"


@pytest.mark.parametrize("key", ["loras", "checkpoints", "workflows", "wildcards", "styles", "input", "datasets:config"])
def test_no_list_has_one_and_no_name_leads_to_one(tmp_path: Path, key: str) -> None:
    folders = Folders(tmp_path)
    home = folders.directories(key)[0]
    home.mkdir(parents=True, exist_ok=True)
    before = folders.list(key)
    for suffix in (".safetensors", ".json", ".txt", ".csv", ".toml", ".png"):
        os.mkfifo(home / f"pipe{suffix}")
        with pytest.raises(MissingFile):
            folders.resolve(key, f"pipe{suffix}")
    assert Folders(tmp_path).list(key) == before


def test_a_folder_of_diffusers_with_them_is_refused(tmp_path: Path) -> None:
    part = tmp_path / next(iter(COMPONENTS))
    part.mkdir()
    os.mkfifo(part / "model.safetensors")
    assert isinstance(ended(lambda: read_contents(tmp_path)), ModelFormatError)
    save_file({"a": torch.zeros(1)}, part / "other.safetensors")
    os.mkfifo(part / "config.json")
    assert isinstance(ended(lambda: read_contents(tmp_path)), EaselError)


def test_a_folder_of_diffusers_with_an_endless_configuration_is_refused(tmp_path: Path) -> None:
    part = tmp_path / next(iter(COMPONENTS))
    part.mkdir()
    save_file({"a": torch.zeros(1)}, part / "model.safetensors")
    with (part / "config.json").open("wb") as file:
        file.truncate(LONGEST_CONFIG + 1)
    with pytest.raises(ModelFormatError):
        read_contents(tmp_path)
