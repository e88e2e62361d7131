"""What `pip install .` gives: a wheel with everything that Easel needs, and a command that works without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("engine", "nodes", "web", "workflows")
NOT_IN_A_CLEAN_CHECKOUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "checkout", ignore=NOT_IN_A_CLEAN_CHECKOUT)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(folder / "checkout")]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked by pip; what it depends on comes from the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def easel(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EASEL_")}
    command = [sys.executable, str(installed / "bin" / "easel"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False)


def test_every_file_of_the_shipped_folders_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(ROOT) for folder in SHIPPED for path in (ROOT / folder).rglob("*") if path.is_file()]
    wanted = {path.as_posix() for path in files if "__pycache__" not in path.parts and not path.name.startswith(".")}
    assert "engine/models/checkpoints/tiny-shapes.safetensors" in wanted
    assert wanted <= inside


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(SHIPPED)


def test_doctor_finds_everything_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = easel(installed, tmp_path, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok       embedded model: tiny-shapes.safetensors" in done.stdout
    assert f"ok       data folder: {tmp_path}" in done.stdout


def test_the_shipped_workflow_draws_a_picture_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = easel(installed, tmp_path, "run", str(installed / "workflows" / "text_to_image.json"), "--set", "sampler.steps=2")
    assert done.returncode == 0, done.stderr
    picture = Path(done.stdout.strip())
    assert picture.parent == tmp_path / "output"
    assert picture.read_bytes().startswith(b"\x89PNG")
