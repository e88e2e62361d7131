"""The files that make up a checkpoint: one safetensors file, or a folder as diffusers writes it, seen under single-file names.

In a folder the tensors of `unet/` are listed as `unet/NAME`, NAME being what the single-file format calls them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.diffusion.families.renaming import Renaming
from engine.diffusion.families.unet_layout import Levels, Shapes, levels_of_diffusers
from engine.diffusion.families.vae_layout import modern_name, vae_renaming
from engine.diffusion.weights_file import TensorInfo, WeightsFile, read_header
from engine.errors import MissingFile, ModelFormatError, named
from engine.values.weights import FileStamp, Weights

CONFIG_KEY = "easel.config"
LATENT_RGB_KEY = "easel.latent_rgb"
LONGEST_CONFIG = 10_000_000


class Place(NamedTuple):
    """Where a tensor lies."""

    file: WeightsFile
    info: TensorInfo


@dataclass(frozen=True)
class Contents:
    """Single-file names -> places; and what the files say about themselves: settings by part, rows of preview factors."""

    path: Path
    places: Mapping[str, Place]
    settings: Mapping[str, Mapping[str, Any]]
    latent_rgb: tuple[tuple[float, ...], ...]

    @property
    def shapes(self) -> Shapes:
        return {name: place.info.shape for name, place in self.places.items()}

    def stamps(self, prefix: str) -> tuple[FileStamp, ...]:
        """The files that hold the tensors whose names begin so."""
        files = {place.file.path: place.file for name, place in self.places.items() if name.startswith(prefix)}
        return tuple(FileStamp(str(path), file.size, file.modified_ns) for path, file in sorted(files.items()))


def read_contents(path: Path) -> Contents:
    """What a checkpoint holds, from its headers. Raises MissingFile, ModelFormatError."""
    return _read_folder(path) if path.is_dir() else _read_single(path)


def places_of(weights: Weights) -> dict[str, Place]:
    """The tensors of one network, by single-file name without prefix. Raises MissingFile, ModelFormatError, also if a file changed."""
    weights.check()
    files = [read_header(Path(stamp.path)) for stamp in weights.files]
    component = weights.prefix.removesuffix("/")
    places = _component(component, files) if component in COMPONENTS else _listed(files)
    return {name[len(weights.prefix) :]: place for name, place in places.items() if name.startswith(weights.prefix)}


DIFFUSERS_VAE = "decoder.mid_block.resnets.0.conv1.weight"
"""A tensor that an autoencoder's own file has in diffusers' naming, and no other file has."""


def _read_single(path: Path) -> Contents:
    file = read_header(path)
    settings = _json(path, file.metadata, CONFIG_KEY, {})
    if not isinstance(settings, dict) or not all(isinstance(value, dict) for value in settings.values()):
        raise ModelFormatError(f"{named(path)}: {CONFIG_KEY} in its header is not a table of tables.", hint="Write the file again.")
    places = _component("vae", [file]) if DIFFUSERS_VAE in file.tensors else _listed([file])
    return Contents(path, places, settings, _latent_rgb(path, file))


def _listed(files: list[WeightsFile]) -> dict[str, Place]:
    return {name: Place(file, info) for file in files for name, info in file.tensors.items()}


def _json(path: Path, metadata: Mapping[str, str], key: str, default: Any) -> Any:
    try:
        return json.loads(metadata[key]) if key in metadata else default
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{named(path)}: {key} in its header is not valid JSON.", hint="Write the file again.") from error


def _latent_rgb(path: Path, file: WeightsFile) -> tuple[tuple[float, ...], ...]:
    rows = _json(path, file.metadata, LATENT_RGB_KEY, [])
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and len(row) == 3 and all(isinstance(value, int | float) and abs(value) <= 1e6 for value in row)
        for row in rows
    ):
        raise ModelFormatError(
            f"{named(path)}: {LATENT_RGB_KEY} in its header is not a list of rows of three numbers.", hint="Write the file again."
        )
    return tuple(tuple(float(value) for value in row) for row in rows)


def _read_folder(path: Path) -> Contents:
    places: dict[str, Place] = {}
    settings = {}
    for component in COMPONENTS:
        folder = path / component
        if folder.is_dir():
            places.update(_component(component, [read_header(file) for file in _weight_files(folder)]))
            settings[component] = _read_config(folder / "config.json")
    if not places:
        raise ModelFormatError(
            f"{named(path)} is a folder without {', '.join(COMPONENTS)}.",
            hint="Give a safetensors file or a folder of diffusers.",
        )
    return Contents(path, places, settings, ())


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one network: the plain set if there is one, else that of one variant (as .fp16)."""
    found = sorted(file for file in folder.glob("*.safetensors") if file.is_file())  # opening a pipe would not end
    if not found:
        others = sorted(file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".ckpt", ".msgpack"))
        what = f"only {', '.join(others)}" if others else "no weights"
        raise ModelFormatError(f"{named(folder)} holds {what}.", hint="Easel reads safetensors files only.")
    variants: dict[str, list[Path]] = {}
    for file in found:
        variants.setdefault(_variant(file.name), []).append(file)
    return variants[min(variants)]


def _variant(name: str) -> str:
    """ "" of model.safetensors and model-00001-of-00002.safetensors, "fp16" of model.fp16.safetensors."""
    middle = name.split(".")[1:-1]
    return middle[0].split("-")[0] if middle else ""


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingFile(f"There is no {named(path)}.", hint="The folder is incomplete; download it again.")
    if path.stat().st_size > LONGEST_CONFIG:
        raise ModelFormatError(f"{named(path)} is larger than {LONGEST_CONFIG:,} bytes.", hint="Download it again.")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{named(path)} is not valid JSON.", hint="Download it again.") from error
    if not isinstance(config, dict):
        raise ModelFormatError(f"{named(path)} is not a table.", hint="Download it again.")
    return config


def _component(component: str, files: list[WeightsFile]) -> dict[str, Place]:
    own = {_own_name(component, name): place for name, place in _listed(files).items()}
    try:
        renaming = COMPONENTS[component]({name: place.info.shape for name, place in own.items()})
    except ValueError as error:
        raise ModelFormatError(
            f"{named(files[0].path.parent)}: its {component} cannot be used: {error}.", hint="Use another model."
        ) from error
    stored = ((renaming.to_stored(name) if renaming else name, place) for name, place in own.items())
    return {f"{component}/{name}": place for name, place in stored if name is not None}


def _own_name(component: str, name: str) -> str:
    return modern_name(name) if component == "vae" else name.removeprefix("text_model.")


def _unet_renaming(shapes: Shapes) -> Renaming:
    levels: Levels = levels_of_diffusers(shapes)
    return levels.renaming()


def _vae_renaming(shapes: Shapes) -> Renaming:
    levels = levels_of_diffusers({name.removeprefix("encoder."): shape for name, shape in shapes.items() if name.startswith("encoder.")})
    return vae_renaming({"block_out_channels": levels.attention, "layers_per_block": levels.resnets})


COMPONENTS: dict[str, Callable[[Shapes], Renaming | None]] = {
    "unet": _unet_renaming,
    "vae": _vae_renaming,
    "text_encoder": lambda shapes: None,
}
