"""The command as a whole: help, wrong flags, settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine import __version__
from engine.cli.main import app
from engine.settings import Settings, flag_name

COMMANDS = ("serve", "run", "nodes", "inspect", "config", "doctor")


def easel(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a person runs it."""
    code = "from engine.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_help_lists_every_command_and_takes_little_work() -> None:
    """Processor time, not the clock's: other programs may be at work. 0.35 s where this was written; half of it is Python's own start."""
    before = os.times()
    done = easel("--help")
    after = os.times()
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    assert (after.children_user - before.children_user) + (after.children_system - before.children_system) < 1.0


def test_version() -> None:
    assert easel("--version").stdout.strip() == f"easel {__version__}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_data_and_explains_each_of_its_flags(command: str) -> None:
    click_command = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    options = [parameter for parameter in click_command.params if parameter.param_type_name == "option"]
    assert "--data" in [name for option in options for name in option.opts]
    assert not [option.name for option in options if not option.help]


def test_serve_has_a_flag_for_every_setting() -> None:
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    assert not [name for name in Settings.model_fields if flag_name(name) not in shown]


def test_config_tells_each_value_and_its_origin(tmp_path: Path) -> None:
    (tmp_path / "easel.toml").write_text("max_nodes = 7\ntoken = 'a long enough secret'\n")
    done = CliRunner().invoke(app, ["config", "--data", str(tmp_path), "--no-metadata", "--models", "/a", "--models", "/b"])
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert set(rows) == set(Settings.model_fields)
    assert rows["max_nodes"].split() == ["max_nodes", "7", "file", str(tmp_path / "easel.toml")]
    assert rows["metadata"].endswith("flag --metadata")
    assert "/a /b" in rows["models"]
    assert "secret" not in done.stdout


def test_a_wrong_value_is_told_with_its_flag() -> None:
    done = easel("config", "--precision", "int8")
    assert done.returncode == 1
    assert "precision (flag --precision)" in done.stderr
    assert "Traceback" not in done.stderr
