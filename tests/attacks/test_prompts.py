"""Names in prompts reach only what the folders list."""

import pytest

from engine.diffusion.text.embeddings import Words
from engine.errors import EaselError, MissingFile
from engine.graph import Context
from engine.graph.folders import Folders
from nodes.embeddings import called_files
from nodes.prompt_a1111 import _files, _wildcard

OUTSIDE = ["../secret", "../../secret", "/etc/passwd", "wildcards/../../secret", "..", ".", "a\x00b", "link", "C:\\secret", "~/secret"]


@pytest.fixture
def ctx(tmp_path):
    folders = Folders(tmp_path / "data")
    folders.create()
    for kind, suffix in (("wildcards", ".txt"), ("models/embeddings", ".pt"), ("models/loras", ".safetensors")):
        (tmp_path / f"secret{suffix}").write_bytes(b"secret\n")
        (folders.data / kind / f"link{suffix}").symlink_to(tmp_path / f"secret{suffix}")
    return Context(folders=folders)


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leaves_its_folder(ctx, name):
    for spelling in (name, f"{name}.txt", f"{name}.pt", f"{name}.safetensors"):
        with pytest.raises(MissingFile):
            _wildcard(ctx, spelling)
        with pytest.raises(EaselError):
            _files(ctx, f"<lora:{spelling}:1>", "", 0, True)
        assert called_files(ctx, f"embedding:{spelling}") == []


def test_a_name_of_a_million_characters_is_looked_up_in_time(ctx):
    told = []
    words = Words([f"name{number}.pt" for number in range(1000)], warn=lambda message, hint: told.append(message + hint))
    assert words.file_of("x" * 1_000_000) is None
    with pytest.raises(MissingFile):
        _wildcard(ctx, "x" * 1_000_000)
