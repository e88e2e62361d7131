"""`easel doctor`: each fault is found and comes with what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from engine.cli import doctor
from engine.cli.doctor import Finding
from engine.cli.main import app
from engine.settings import load


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_cpu_build_beside_a_gpu_is_a_problem_with_the_page_that_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "graphics_processor", lambda: "an NVIDIA GPU")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = only(doctor.torch_build(load(data=tmp_path)))
    assert finding.level == "problem"
    assert "CPU" in finding.text
    assert doctor.TORCH_PAGE in finding.advice


def test_a_gpu_build_that_cannot_use_the_gpu_points_at_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "graphics_processor", lambda: "an NVIDIA GPU")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = only(doctor.torch_build(load(data=tmp_path)))
    assert finding.level == "problem"
    assert "driver" in finding.advice


def test_a_taken_port_is_noticed(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = only(doctor.address(load(data=tmp_path, port=taken.getsockname()[1])))
    assert finding.level == "warning"
    assert "--port" in finding.advice
    assert only(doctor.address(load(data=tmp_path, port=0))).level == "ok"


def test_a_data_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = list(doctor.data_folder(load(data=tmp_path / "file")))
    assert [finding.level for finding in found] == ["problem"]


def test_a_model_folder_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    found = list(doctor.data_folder(load(data=tmp_path, models=[tmp_path / "none"])))
    assert [(finding.level, finding.subject) for finding in found] == [("ok", "data folder"), ("problem", "models")]


def test_the_installed_libraries_are_in_the_ranges_that_the_package_asks_for(tmp_path: Path) -> None:
    assert [finding.level for finding in doctor.versions(load(data=tmp_path)) if finding.subject == "libraries"] == ["ok"]


def test_a_library_outside_its_range_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: "0.0.1" if name == "torch" else installed(name))
    problem = next(finding for finding in doctor.versions(load(data=tmp_path)) if finding.level == "problem")
    assert "torch 0.0.1" in problem.text
    assert "pip install" in problem.advice


def test_a_problem_makes_the_exit_code_1(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path), "--models", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "problem  models: " in done.stdout
