"""File names that try to leave their folder. Each must be refused with UnsafePath, whatever it points at."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import MissingFile, UnsafePath
from engine.graph import Folders
from engine.graph.paths import inside, parts_of

SECRET = b"not for you"

ATTACKS = [
    "",
    ".",
    "..",
    "../secret.safetensors",
    "sub/../../secret.safetensors",
    "sub/../a.safetensors",
    "./a.safetensors",
    "sub//a.safetensors",
    "sub/",
    "/etc/passwd",
    "//server/share/a.safetensors",
    "\\\\server\\share\\a",
    "..\\secret.safetensors",
    "sub\\..\\..\\secret.safetensors",
    "\\etc\\passwd",
    "C:\\Windows\\win.ini",
    "C:secret",
    "c:/secret",
    "file:///etc/passwd",
    "a.safetensors\x00.png",
    "\x00",
    "a\nb",
    "a\x7f",
    "a.safetensors:stream",
    "a.safetensors::$DATA",
    "CON",
    "con.safetensors",
    "sub/NUL",
    "sub/aux.tar.gz",
    "COM1",
    "lpt9.txt",
    "COM¹",
    "CONIN$",
    "nul .txt",
    "a.safetensors.",
    "a.safetensors ",
    "sub./a",
    " a",
    "...",
    "a*b",
    "a?b",
    'a"b',
    "a<b",
    "a|b",
    "x" * 256,
    "ä" * 128,
    "/".join(["x"] * 3_000),
    "\ud800",
    "gnp.\u202e.exe",
    "a\u200e",
    "a\u2066b",
    "\ufeffa",
    "a\u200bb",
    "a\xadb",
    "a\x85b",
    "a\u2028b",
    "a\U000e0041",
]


@pytest.fixture
def folders(tmp_path):
    found = Folders(tmp_path / "data", models=[])
    found.create()
    (tmp_path / "secret.safetensors").write_bytes(SECRET)
    (found.data / "secret.safetensors").write_bytes(SECRET)
    (found.models / "secret.safetensors").write_bytes(SECRET)
    for folder in (found.models / "loras", found.input, found.output, found.workflows):
        (folder / "sub").mkdir()
        (folder / "a.safetensors").write_bytes(b"fine")
    return found


@pytest.mark.parametrize("key", ["loras", "input", "output", "temp", "workflows", "input:image"])
@pytest.mark.parametrize("name", ATTACKS, ids=repr)
def test_a_name_that_means_anything_but_a_file_below_is_refused(folders, key, name):
    with pytest.raises(UnsafePath) as caught:
        folders.resolve(key, name)
    assert len(caught.value.message) < 300 and caught.value.hint


@pytest.mark.parametrize("name", ["../secret.safetensors [output]", "/etc/passwd [input]", " [output]", "../../secret.safetensors [temp]"])
def test_a_mark_of_the_folder_changes_nothing(folders, name):
    with pytest.raises(UnsafePath):
        folders.resolve("input", name)


@pytest.mark.parametrize("name", [None, 3, b"a", ["a"], Path("a")])
def test_what_is_no_text_is_refused(folders, name):
    with pytest.raises(UnsafePath):
        folders.resolve("loras", name)


@pytest.mark.parametrize("key", ["../loras", "state", "custom_nodes", "user", "", "/", "models", "data"])
def test_a_key_names_a_known_folder_or_nothing(folders, key):
    (folders.state / "a.safetensors").write_bytes(SECRET)
    with pytest.raises(MissingFile):
        folders.resolve(key, "a.safetensors")


@pytest.mark.parametrize("name", ATTACKS, ids=repr)
def test_savers_cannot_be_led_out(folders, name):
    before = sorted(path for path in folders.data.parent.rglob("*") if folders.output not in path.parents)
    with pytest.raises(UnsafePath):
        folders.save("output", name, ".png", lambda path: path.write_bytes(b"x"))
    assert sorted(path for path in folders.data.parent.rglob("*") if folders.output not in path.parents) == before


def test_links_may_not_lead_out(folders, tmp_path):
    loras = folders.models / "loras"
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "x.safetensors").write_bytes(SECRET)
    (loras / "file.safetensors").symlink_to(tmp_path / "secret.safetensors")
    (loras / "folder").symlink_to(tmp_path / "private")
    (loras / "broken.safetensors").symlink_to(tmp_path / "nothing")
    (loras / "ring").symlink_to(loras / "ring")
    for name in ("file.safetensors", "folder/x.safetensors", "broken.safetensors", "ring", "ring/x"):
        with pytest.raises((UnsafePath, MissingFile)) as caught:
            folders.resolve("loras", name)
        assert caught.type is UnsafePath or name.startswith("ring")
    assert folders.list("loras") == ("a.safetensors",)


def test_links_among_model_folders_are_fine_and_listed_once_each(folders, tmp_path):
    big = tmp_path / "big"
    (big / "loras").mkdir(parents=True)
    (big / "loras" / "x.safetensors").write_bytes(b"x")
    (folders.models / "loras" / "mine").symlink_to(big / "loras")
    (folders.models / "loras" / "me").symlink_to(folders.models / "loras")
    found = Folders(folders.data, models=[big])
    assert found.list("loras") == ("a.safetensors", "mine/x.safetensors", "x.safetensors")
    assert found.resolve("loras", "mine/x.safetensors").read_bytes() == b"x"


def test_a_folder_that_is_itself_a_link_is_the_operators_choice(tmp_path):
    (tmp_path / "real" / "loras").mkdir(parents=True)
    (tmp_path / "real" / "loras" / "x.safetensors").write_bytes(b"x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(tmp_path / "real")
    folders = Folders(tmp_path / "data")
    assert folders.resolve("loras", "x.safetensors").read_bytes() == b"x"


def test_a_saver_does_not_follow_a_planted_link(folders, tmp_path):
    (folders.output / "out").symlink_to(tmp_path)
    with pytest.raises(UnsafePath):
        folders.save("output", "out/x", ".png", lambda path: path.write_bytes(b"x"))
    (folders.output / "x_00001_.png").symlink_to(tmp_path / "target.png")
    record = folders.save("output", "x", ".png", lambda path: path.write_bytes(b"x"))
    assert record["filename"] == "x_00002_.png" and not (tmp_path / "target.png").exists()


@given(st.text() | st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "C:", "\x00", "~", "%", "con", " "])).map("".join))
def test_no_name_at_all_leaves_the_folder(name):
    root = Path("/srv/easel/data")
    try:
        path = inside(root, name)
    except UnsafePath:
        return
    assert os.path.normpath(path) == str(path) and str(path).startswith("/srv/easel/data/")
    assert all(part not in ("", ".", "..") for part in parts_of(name))


@given(st.text(max_size=20))
@example("Screenshot at 1.00.00\u202fPM.png")  # as macOS names them
@example("\u540d\u524d\u3000\u4e00.png")
@example("\U0001f469\u200d\U0001f4bb.png")
@example("\u0645\u06cc\u200c\u0631\u0648\u0645.png")
def test_what_can_be_saved_is_listed_and_found_again(name):
    with tempfile.TemporaryDirectory() as data:
        folders = Folders(data)
        try:
            saved = folders.save("output", name, ".png", lambda path: path.write_bytes(b"x"))["filename"]
        except UnsafePath:
            return
        place = "/".join((*parts_of(name)[:-1], saved))
        if all(not part.startswith(".") for part in parts_of(place)):
            assert folders.list("output") == (place,)
        assert folders.resolve("output", place).read_bytes() == b"x"
