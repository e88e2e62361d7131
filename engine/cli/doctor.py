"""`easel doctor`: is this installation able to work, and if not, what to do."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from engine import __version__
from engine.cli.options import with_settings
from engine.settings import Settings, unknown_variables

TORCH_PAGE = "https://pytorch.org/get-started/locally/"
EMBEDDED_MODEL = "checkpoints/tiny-shapes.safetensors"
LITTLE_SPACE = 5 * 2**30


@dataclass(frozen=True)
class Finding:
    level: Literal["ok", "warning", "problem"]
    subject: str
    text: str
    advice: str = ""


@with_settings(*Settings.model_fields)
def doctor(settings: Settings) -> None:
    """Check the installation and say what to do about what is wrong. Exit code 1 when something is."""
    broken = False
    for check in (versions, torch_build, data_folder, disk_space, embedded_model, address, environment):
        for finding in check(settings):
            typer.echo(f"{finding.level:<8} {finding.subject}: {finding.text}")
            if finding.advice:
                typer.echo(f"{'':<8} -> {finding.advice}")
            broken = broken or finding.level == "problem"
    if broken:
        raise typer.Exit(1)


def versions(settings: Settings) -> Iterator[Finding]:
    """Python, Easel, and each library that Easel asks for against the range it asks for."""
    yield Finding("ok", "versions", f"Easel {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}")
    from packaging.requirements import Requirement

    wrong = []
    if _installed("easel") is None:
        text = "Easel runs without being installed, so they are not compared"
        yield Finding("warning", "libraries", text, f"{sys.executable} -m pip install .")
        return
    for text in importlib.metadata.requires("easel") or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = _installed(requirement.name)
        if installed is None or not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed or 'is missing'} (needed: {requirement.specifier})")
    if wrong:
        yield Finding("problem", "libraries", "; ".join(wrong), f"{sys.executable} -m pip install --upgrade easel")
    else:
        names = ("torch", "diffusers", "transformers", "peft", "aiohttp")
        yield Finding("ok", "libraries", ", ".join(f"{name} {_installed(name)}" for name in names))
    if _installed("torchvision"):
        advice = f"{sys.executable} -m pip uninstall torchvision"
        yield Finding("warning", "torchvision", "is installed; Easel does not use it, and a build for another torch breaks imports", advice)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def torch_build(settings: Settings) -> Iterator[Finding]:
    """Whether the installed PyTorch can use the graphics processor that is in the machine."""
    import torch

    gpu = graphics_processor()
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}" if torch.version.hip else "CPU only"
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Finding("ok", "device", f"{name}, {memory:.1f} GiB; PyTorch {torch.__version__} ({build})")
    elif torch.backends.mps.is_available():
        yield Finding("ok", "device", f"Apple GPU (mps); PyTorch {torch.__version__}")
    elif gpu and torch.version.cuda is None and torch.version.hip is None:
        advice = f"install PyTorch with the command for your system from {TORCH_PAGE} (without torchvision)"
        yield Finding("problem", "device", f"{gpu} is there, but PyTorch {torch.__version__} is a build for the CPU only", advice)
    elif gpu:
        advice = f"update the driver of the graphics card, or install a PyTorch for its version: {TORCH_PAGE}"
        yield Finding("problem", "device", f"{gpu} is there, but PyTorch {torch.__version__} ({build}) cannot use it", advice)
    else:
        yield Finding("ok", "device", f"CPU, {torch.get_num_threads()} threads; no GPU found; PyTorch {torch.__version__} ({build})")


def graphics_processor() -> str | None:
    """A graphics processor that PyTorch could use with the right build, told without PyTorch."""
    if Path("/proc/driver/nvidia/gpus").is_dir() or shutil.which("nvidia-smi"):
        return "an NVIDIA GPU"
    return "an AMD GPU" if Path("/dev/kfd").exists() else None


def data_folder(settings: Settings) -> Iterator[Finding]:
    """Whether the folders that Easel writes to can be written to. Makes those that are missing."""
    from engine.graph.folders import LAYOUT

    refused = []
    for folder in (settings.data, *(settings.data / name for name in LAYOUT)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            refused.append(f"{folder} ({error.strerror})")
    if refused:
        yield Finding(
            "problem", "data folder", "cannot write to " + ", ".join(refused), "give the user write access, or choose another --data"
        )
    else:
        yield Finding("ok", "data folder", str(settings.data))
    for name in ("models", "datasets"):
        for folder in getattr(settings, name):
            if not folder.is_dir():
                yield Finding("problem", name, f"{folder} is not a folder", f"correct --{name} or EASEL_{name.upper()}")
    if settings.extra_model_paths and not settings.extra_model_paths.is_file():
        yield Finding("problem", "models", f"{settings.extra_model_paths} is not a file", "correct --extra-model-paths")


def disk_space(settings: Settings) -> Iterator[Finding]:
    folder = next((place for place in (settings.data, *settings.data.parents) if place.exists()), Path.cwd())
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < LITTLE_SPACE:
        yield Finding("warning", "disk space", text, "checkpoints take 2 to 24 GB each; a smaller --disk-cache leaves more room")
    else:
        yield Finding("ok", "disk space", text)


def embedded_model(settings: Settings) -> Iterator[Finding]:
    from engine.graph.folders import EMBEDDED_MODELS

    path = EMBEDDED_MODELS / EMBEDDED_MODEL
    if path.is_file():
        yield Finding("ok", "embedded model", f"{path.name}, {path.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding("problem", "embedded model", f"{path} is missing", "install Easel again")


def address(settings: Settings) -> Iterator[Finding]:
    """Whether the server could listen where the settings say."""
    place = f"{settings.host}:{settings.port}"
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            if sys.platform != "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
    except OSError as error:
        yield Finding("warning", "address", f"{place}: {error.strerror}", "a server runs there already, or choose another --port")
    else:
        yield Finding("ok", "address", f"{place} is free")


def environment(settings: Settings) -> Iterator[Finding]:
    for name in unknown_variables():
        yield Finding("warning", "environment", f"{name} is no setting", "docs/settings.md lists them")
