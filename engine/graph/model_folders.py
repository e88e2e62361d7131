"""Where models lie: the folders of each kind below a models directory, and ComfyUI's extra_model_paths.yaml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.errors import InvalidSettings, MissingFile

# key -> directories below a models directory, in the order they are searched
MODEL_FOLDERS: dict[str, tuple[str, ...]] = {
    "audio_encoders": ("audio_encoders",),
    "checkpoints": ("checkpoints",),
    "clip_vision": ("clip_vision",),
    "configs": ("configs",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "diffusers": ("diffusers",),
    "diffusion_models": ("unet", "diffusion_models"),
    "embeddings": ("embeddings",),
    "gligen": ("gligen",),
    "hypernetworks": ("hypernetworks",),
    "loras": ("loras",),
    "model_patches": ("model_patches",),
    "photomaker": ("photomaker",),
    "style_models": ("style_models",),
    "text_encoders": ("text_encoders", "clip"),
    "upscale_models": ("upscale_models",),
    "vae": ("vae",),
    "vae_approx": ("vae_approx",),
}

# the same kinds in the models directory of AUTOMATIC1111's web UI
_A1111_FOLDERS = {
    "checkpoints": ("Stable-diffusion",),
    "controlnet": ("ControlNet",),
    "loras": ("Lora", "LyCORIS"),
    "upscale_models": ("ESRGAN", "RealESRGAN"),
    "vae": ("VAE",),
    "vae_approx": ("VAE-approx",),
}

OLD_KEYS = {"clip": "text_encoders", "unet": "diffusion_models"}
FILE_ROOTS = ("input", "output", "temp")  # where a name may say it is: `a.png [output]`
NOT_MODELS = frozenset({"configs", "custom_nodes", "datasets", "workflows", *FILE_ROOTS})  # keys of folders that hold no models
SAVED_MODELS = ("checkpoints", "clip", "vae", "diffusion_models", "embeddings", "loras")  # below output/; their files can be chosen again
SUFFIXES = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})
KIND_SUFFIXES: dict[str, frozenset[str]] = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}),
    "latent": frozenset({".latent"}),
    "audio": frozenset({".wav", ".mp3", ".ogg", ".flac", ".opus", ".m4a", ".aac"}),
    "video": frozenset({".mp4", ".webm", ".mov", ".mkv", ".avi"}),
    "model": SUFFIXES,
    "config": frozenset({".toml"}),
}


def kind_of(name: str) -> str:
    """What a file is by the end of its name: a key of KIND_SUFFIXES, or "other"."""
    suffix = os.path.splitext(name)[1].lower()
    return next((kind for kind, suffixes in KIND_SUFFIXES.items() if suffix in suffixes), "other")


def standard_folders(models: Path) -> dict[str, list[Path]]:
    """The folders of each kind below Easel's own models directory."""
    return {key: [models / name for name in names] for key, names in MODEL_FOLDERS.items()}


def existing_folders(models: Path) -> dict[str, list[Path]]:
    """The folders that are there below a models directory of ComfyUI or AUTOMATIC1111, and every other directory under its own name."""
    if not models.is_dir():
        raise MissingFile(f"The models directory {models} does not exist.", hint="Correct --models, or make the directory.")
    names = {entry.name for entry in os.scandir(models) if entry.is_dir()}
    found: dict[str, list[Path]] = {}
    for key, own in MODEL_FOLDERS.items():
        found[key] = [models / name for name in (*own, *_A1111_FOLDERS.get(key, ())) if name in names]
    taken = {path.name for paths in found.values() for path in paths}
    found.update({name: [models / name] for name in sorted(names - taken) if not name.startswith(".")})
    return {key: paths for key, paths in found.items() if paths}


def read_extra_model_paths(file: Path) -> list[tuple[str, Path, bool]]:
    """(key, folder, goes first) for each line of an extra_model_paths.yaml; key `custom_nodes` names folders of node packs.

    Paths are relative to `base_path`, which is relative to the file; `~` and environment variables are expanded. Raises InvalidSettings.
    """
    try:
        sections = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFile(f"{file} does not exist.", hint="Correct the path in the settings.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidSettings(f"{file} cannot be read: {error}", hint="Write it as YAML, one section per program.") from error
    if sections is None:
        return []
    if not isinstance(sections, dict):
        raise InvalidSettings(f"{file} holds no sections.", hint="Write it as ComfyUI's extra_model_paths.yaml.example shows.")
    found: list[tuple[str, Path, bool]] = []
    for section in sections.values():
        if isinstance(section, dict):
            found.extend(_section(section, file))
        elif section is not None:
            raise InvalidSettings(f"{file}: a section is {section!r}, not a list of folders.", hint="Indent its lines.")
    return found


def _section(section: Mapping[Any, Any], file: Path) -> list[tuple[str, Path, bool]]:
    base = file.parent
    if section.get("base_path"):
        base = base / _expanded(str(section["base_path"]))
    first = bool(section.get("is_default", False))
    found: list[tuple[str, Path, bool]] = []
    for key, value in section.items():
        if key in ("base_path", "is_default") or value is None:
            continue
        if not isinstance(value, str):
            raise InvalidSettings(f"{file}: {key} is {value!r}, not a folder.", hint="Write one folder per line, as a text.")
        for line in value.splitlines():
            if line.strip():
                folder = Path(os.path.normpath(base / _expanded(line.strip())))
                found.append((OLD_KEYS.get(str(key), str(key)), folder, first))
    return found


def _expanded(text: str) -> str:
    return os.path.expandvars(os.path.expanduser(text))
