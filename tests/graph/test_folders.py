"""The data folder, model folders of other programs, listings, digests, and new files."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import threading
from datetime import datetime

import pytest

from engine.errors import InvalidSettings, MissingFile, UnsafePath
from engine.graph import Folders, file_digests, saving
from engine.graph.saving import expand_prefix


@pytest.fixture
def folders(tmp_path):
    found = Folders(tmp_path / "data")
    found.create()
    return found


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_layout_is_made(folders):
    made = {path.name for path in folders.data.iterdir()}
    assert made == {"models", "input", "output", "temp", "datasets", "workflows", "wildcards", "styles", "custom_nodes", "user", "state"}
    assert (folders.models / "checkpoints").is_dir() and (folders.models / "diffusion_models").is_dir()


def test_nothing_is_made_by_looking(tmp_path):
    folders = Folders(tmp_path / "data")
    assert folders.list("loras") == () and not (tmp_path / "data").exists()


def test_the_listing_is_recursive_sorted_and_by_suffix(folders):
    for name in ("b.safetensors", "a.SFT", "sub/deep/c.ckpt", "notes.txt", ".hidden.safetensors", ".git/x.safetensors"):
        put(folders.models / "loras" / name)
    assert folders.list("loras") == ("a.SFT", "b.safetensors", "sub/deep/c.ckpt")


def test_a_listing_sees_every_change(folders):
    assert folders.list("loras") == ()
    first = put(folders.models / "loras" / "sub" / "a.safetensors")
    assert folders.list("loras") == ("sub/a.safetensors",)
    put(folders.models / "loras" / "sub" / "b.safetensors")
    assert folders.list("loras") == ("sub/a.safetensors", "sub/b.safetensors")
    first.unlink()
    assert folders.list("loras") == ("sub/b.safetensors",)


def test_an_unchanged_folder_is_not_read_again(folders, monkeypatch):
    put(folders.models / "loras" / "a.safetensors")
    for path in (folders.models / "loras",):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    output = folders.output / "loras"
    assert folders.list("loras") == ("a.safetensors",) and not output.exists()
    read = []
    real = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: read.append(path) or real(path))
    assert folders.list("loras") == ("a.safetensors",)
    assert read == []


def test_saved_models_can_be_chosen_again(folders):
    put(folders.output / "loras" / "trained.safetensors")
    assert folders.list("loras") == ("trained.safetensors",)
    assert folders.resolve("loras", "trained.safetensors") == folders.output / "loras" / "trained.safetensors"


def test_what_is_listed_can_be_resolved(folders):
    for name in (
        "fine ä.safetensors",
        "a:b.safetensors",
        "a\\b.safetensors",
        "con.safetensors",
        " a.safetensors",
        os.fsdecode(b"\xff.safetensors"),
    ):
        put(folders.models / "loras" / name)
    assert folders.list("loras") == ("fine ä.safetensors",)
    assert folders.resolve("loras", "fine ä.safetensors").is_file()


def test_kinds_of_files(folders):
    for name in ("a.png", "sub/b.JPG", "c.latent", "d.txt", "e.wav"):
        put(folders.input / name)
    assert folders.list("input:image") == ("a.png", "sub/b.JPG")
    assert folders.list("input:latent") == ("c.latent",)
    assert folders.list("input") == ("a.png", "c.latent", "d.txt", "e.wav", "sub/b.JPG")
    assert folders.listing(["input:audio", "nothing", "unet"]) == {"input:audio": ("e.wav",), "unet": ()}


def test_folders_that_are_things(folders):
    put(folders.models / "diffusers" / "sd" / "model_index.json")
    put(folders.models / "diffusers" / "sd" / "unet" / "config.json")
    put(folders.datasets / "cats" / "1.png")
    assert folders.list("diffusers") == ("sd",) and folders.list("datasets") == ("cats",)
    assert folders.resolve("diffusers", "sd").is_dir() and folders.resolve("datasets", "cats").is_dir()
    before = folders.digest("datasets", "cats")
    put(folders.datasets / "cats" / "2.png")
    assert folders.digest("datasets", "cats") != before


def test_example_workflows_are_always_there(folders):
    put(folders.workflows / "mine.json")
    names = folders.list("workflows")
    assert "mine.json" in names and "text_to_image.json" in names
    assert folders.resolve("workflows", "text_to_image.json").is_file()


def test_the_models_that_ship_are_always_there(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.graph.folders.EMBEDDED_MODELS", tmp_path / "package")
    shipped = put(tmp_path / "package" / "checkpoints" / "shipped.safetensors")
    folders = Folders(tmp_path / "data")
    assert folders.list("checkpoints") == ("shipped.safetensors",)
    assert folders.resolve("checkpoints", "shipped.safetensors") == shipped
    own = put(tmp_path / "data" / "models" / "checkpoints" / "shipped.safetensors")
    assert folders.resolve("checkpoints", "shipped.safetensors") == own


def test_the_first_folder_wins(tmp_path):
    put(tmp_path / "data" / "models" / "vae" / "same.pt", b"own")
    put(tmp_path / "others" / "vae" / "same.pt", b"other")
    folders = Folders(tmp_path / "data", models=[tmp_path / "others"])
    assert folders.list("vae") == ("same.pt",)
    assert folders.resolve("vae", "same.pt").read_bytes() == b"own"


def test_models_directories_of_other_programs(tmp_path):
    put(tmp_path / "a1111" / "Stable-diffusion" / "x" / "sd.safetensors")
    put(tmp_path / "a1111" / "Lora" / "style.safetensors")
    put(tmp_path / "comfy" / "clip" / "t5.safetensors")
    put(tmp_path / "comfy" / "ultralytics" / "face.anything")
    folders = Folders(tmp_path / "data", models=[tmp_path / "a1111", tmp_path / "comfy"])
    assert "x/sd.safetensors" in folders.list("checkpoints")
    assert folders.list("loras") == ("style.safetensors",)
    assert folders.list("text_encoders") == folders.list("clip") == ("t5.safetensors",)
    assert folders.list("ultralytics") == ("face.anything",)
    with pytest.raises(MissingFile, match="does not exist"):
        Folders(tmp_path / "data", models=[tmp_path / "nothing"])


def test_extra_model_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPLE_MODELS", str(tmp_path / "env"))
    put(tmp_path / "data" / "models" / "checkpoints" / "same.safetensors", b"own")
    put(tmp_path / "shared" / "models" / "ckpt" / "same.safetensors", b"shared")
    put(tmp_path / "shared" / "models" / "l1" / "a.safetensors")
    put(tmp_path / "shared" / "models" / "l2" / "b.safetensors")
    put(tmp_path / "env" / "u" / "net.safetensors")
    put(tmp_path / "shared" / "things" / "any.xyz")
    yaml = tmp_path / "conf" / "extra.yaml"
    put(
        yaml,
        b"""
shared:
  base_path: ../shared/
  is_default: true
  checkpoints: models/ckpt
  loras: |
    models/l1
    models/l2
  my_new_key: things
  custom_nodes: packs
env:
  unet: $SAMPLE_MODELS/u
empty:
""",
    )
    folders = Folders(tmp_path / "data", extra_model_paths=yaml)
    assert folders.resolve("checkpoints", "same.safetensors").read_bytes() == b"shared"
    assert folders.list("loras") == ("a.safetensors", "b.safetensors")
    assert folders.list("diffusion_models") == ("net.safetensors",)
    assert folders.list("my_new_key") == ("any.xyz",)
    assert tmp_path / "shared" / "packs" in folders.custom_nodes


def test_the_file_of_the_data_folder_is_read_by_itself(tmp_path):
    put(tmp_path / "data" / "extra_model_paths.yaml", b"a:\n  loras: more\n")
    put(tmp_path / "data" / "more" / "x.safetensors")
    assert Folders(tmp_path / "data").list("loras") == ("x.safetensors",)


@pytest.mark.parametrize("text", [b"- a\n", b"a: text\n", b"a:\n  loras: [x]\n", b"a: [\n", b"!!python/object/apply:os.system ['true']\n"])
def test_a_wrong_yaml_is_an_error_that_names_the_file(tmp_path, text):
    put(tmp_path / "extra.yaml", text)
    with pytest.raises(InvalidSettings, match=r"extra\.yaml"):
        Folders(tmp_path / "data", extra_model_paths=tmp_path / "extra.yaml")


def test_missing_files_name_their_neighbours(folders):
    put(folders.models / "checkpoints" / "tiny.safetensors")
    with pytest.raises(MissingFile) as caught:
        folders.resolve("checkpoints", "tyni.safetensors")
    assert "tiny.safetensors" in caught.value.hint
    with pytest.raises(MissingFile, match="'chekpoints'") as caught:
        folders.list("chekpoints")
    assert "checkpoints" in caught.value.hint
    with pytest.raises(MissingFile):
        folders.resolve("input", "nothing.png")


def test_annotated_names(folders):
    put(folders.input / "a.png", b"in")
    put(folders.output / "sub" / "a.png", b"out")
    assert folders.resolve("input:image", "a.png [input]").read_bytes() == b"in"
    assert folders.resolve("input:image", "sub/a.png [output]").read_bytes() == b"out"
    assert folders.resolve("input", "sub\\a.png [output]").read_bytes() == b"out"
    with pytest.raises(MissingFile):
        folders.resolve("input", "a.png [temp]")


def test_digests_are_sha256_and_kept_until_the_file_changes(folders, monkeypatch):
    path = put(folders.input / "a.png", b"one")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    expected = f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    assert folders.digest("input", "a.png") == expected

    reopened = Folders(folders.data)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    assert reopened.digest("input", "a.png") == expected
    monkeypatch.undo()

    path.write_bytes(b"two")
    assert reopened.digest("input", "a.png") == f"sha256:{hashlib.sha256(b'two').hexdigest()}"
    os.utime(path, (1_000_000_001, 1_000_000_001))
    path.write_bytes(b"six")  # same size, and a fresh time stamp is never trusted
    assert reopened.digest("input", "a.png") == f"sha256:{hashlib.sha256(b'six').hexdigest()}"


def save(folders, prefix, content=b"x", suffix=".png", root="output", **options):
    return folders.save(root, prefix, suffix, lambda path: path.write_bytes(content), **options)


def test_digests_of_small_files_go_when_there_are_too_many(tmp_path, monkeypatch):
    for name, value in (("_MOST_ROWS", 2), ("_DEAR_BYTES", 100), ("_SETTLED_NS", -(10**12))):
        monkeypatch.setattr(file_digests, name, value)
    files = [put(tmp_path / f"{size}", b"x" * size) for size in (10, 20, 1_000)]
    for wanted in (files, files[:1]):  # who opens it next finds too many
        digests = file_digests.FileDigests(tmp_path / "digests.sqlite")
        for path in wanted:
            digests.digest(path)
        digests.close()
    with sqlite3.connect(tmp_path / "digests.sqlite") as connection:
        assert sorted(size for (size,) in connection.execute("SELECT size FROM file_digests")) == [10, 1_000]


def test_a_digest_that_cannot_be_kept_or_looked_up_is_computed_each_time(tmp_path, monkeypatch):
    """As on a full disk, or where the file of digests is damaged while it is open: who needs a digest gets it."""
    monkeypatch.setattr(file_digests, "_SETTLED_NS", -(10**12))
    path = put(tmp_path / "a", b"x")
    wanted = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    digests = file_digests.FileDigests(tmp_path / "digests.sqlite")
    assert digests.known(path) is None
    digests._database.execute("PRAGMA query_only = ON")
    assert (digests.digest(path), digests.known(path)) == (wanted, None)
    digests._database.execute("PRAGMA query_only = OFF")
    digests._database.execute("DROP TABLE file_digests")
    assert (digests.digest(path), digests.known(path)) == (wanted, None)
    digests.close()


def test_counters_go_up_and_start_after_the_highest(folders):
    put(folders.output / "Easel_00041_.png")
    put(folders.output / "Easel_extra_00099_.png")
    put(folders.output / "Easel_text_.png")
    assert save(folders, "Easel") == {"filename": "Easel_00042_.png", "subfolder": "", "type": "output"}
    assert save(folders, "Easel", suffix=".latent")["filename"] == "Easel_00043_.latent"
    assert save(folders, "a/b/Easel", root="temp") == {"filename": "Easel_00001_.png", "subfolder": "a/b", "type": "temp"}
    assert (folders.temp / "a" / "b" / "Easel_00001_.png").read_bytes() == b"x"


def test_tokens_of_a_prefix():
    now = datetime(2026, 3, 4, 5, 6, 7)
    assert expand_prefix("%year%-%month%-%day%_%hour%%minute%%second%", {}, now) == "2026-03-04_050607"
    assert expand_prefix("%date:yyyy-MM-dd hh.mm.ss yy M d%", {}, now) == "2026-03-04 05.06.07 26 3 4"
    assert expand_prefix("%width%x%height%_%other%_50%", {"width": 512, "height": 64}, now) == "512x64_%other%_50%"


def test_parallel_savers_never_share_a_number(folders):
    names: list[str] = []

    def work(number):
        for _ in range(20):
            names.append(save(folders, "run", str(number).encode())["filename"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == len(names) == 160 == len(os.listdir(folders.output))


def test_a_failed_writer_leaves_nothing(folders):
    def write(path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folders.save("output", "run", ".png", write)
    assert os.listdir(folders.output) == []
    assert save(folders, "run")["filename"] == "run_00001_.png"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_has_its_name_when_it_is_whole_and_not_before(folders, monkeypatch, links):
    if not links:  # such as exFAT

        def refused(source, target):
            raise OSError(errno.EPERM, "no hard links")

        monkeypatch.setattr(os, "link", refused)

    def write(path):
        assert folders.list("output") == () and not (folders.output / "run_00001_.png").exists()
        path.write_bytes(b"half")
        assert folders.list("output") == ()
        path.write_bytes(b"whole")

    assert folders.save("output", "run", ".png", write)["filename"] == "run_00001_.png"
    assert save(folders, "run")["filename"] == "run_00002_.png"
    assert sorted(os.listdir(folders.output)) == ["run_00001_.png", "run_00002_.png"]
    assert (folders.output / "run_00001_.png").read_bytes() == b"whole"


def test_a_name_that_was_taken_for_a_file_that_could_not_come_is_free_again(folders, monkeypatch):
    def refused(source, target):
        raise OSError(errno.EPERM, "no hard links")

    def full(source, target):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "link", refused)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(saving.shutil, "move", full)
        save(folders, "run")
    assert os.listdir(folders.output) == []
    assert save(folders, "run")["filename"] == "run_00001_.png"


def test_a_prefix_stays_in_its_folder(folders):
    for prefix in ("../x", "/x", "a/../../x", "C:/x", "sub/", ""):
        with pytest.raises(UnsafePath):
            save(folders, prefix)
    assert sorted(os.listdir(folders.data.parent)) == ["data"]
