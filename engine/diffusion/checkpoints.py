"""Opening a checkpoint: headers in, values out. No tensor is read."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import NamedTuple

from engine.diffusion.checkpoint_files import Contents, read_contents
from engine.diffusion.families import FAMILIES, detect, titles
from engine.diffusion.families.family import Family, Part
from engine.diffusion.families.unet_layout import Shapes
from engine.errors import ModelFormatError, named
from engine.values.model import Clip, Model, Vae
from engine.values.weights import Weights

_SHOWN = 8


class Checkpoint(NamedTuple):
    """The three networks of a checkpoint."""

    model: Model
    clip: Clip
    vae: Vae


def load_checkpoint(path: Path) -> Checkpoint:
    """Open a safetensors file, or a folder as diffusers writes it.

    Raises MissingFile, and ModelFormatError for a file that is damaged, of an unknown family, or lacks tensors.
    """
    contents = read_contents(Path(path))
    family = detect(contents.shapes)
    if family is None:
        raise _unknown(contents)
    channels = family.latent_format.channels
    if contents.latent_rgb and len(contents.latent_rgb) not in (channels, channels + 1):
        raise ModelFormatError(
            f"{named(contents.path)} has {len(contents.latent_rgb)} rows of preview factors for latents of {channels} channels.",
            hint="Write the file again, with a row for each channel and at most one more.",
        )
    return Checkpoint(
        Model(_weights(contents, family, family.unet), latent_rgb=contents.latent_rgb),
        Clip(_weights(contents, family, family.text.part)),
        Vae(_weights(contents, family, family.vae)),
    )


def load_vae(path: Path) -> Vae:
    """Open the autoencoder of a safetensors file: of its own, in the original naming or diffusers', or the one in a checkpoint.

    Raises MissingFile, and ModelFormatError for a file without an autoencoder that Easel knows.
    """
    contents = read_contents(Path(path))
    for family in FAMILIES.values():
        if family.vae.find(contents.shapes) is not None:
            return Vae(_weights(contents, family, family.vae))
    raise ModelFormatError(
        f"{named(contents.path)} holds no autoencoder (VAE).",
        hint="Use a VAE file or a checkpoint; stand-ins such as TAESD are not read.",
    )


def _weights(contents: Contents, family: Family, part: Part) -> Weights:
    found = part.find(contents.shapes)
    if found is None:
        raise ModelFormatError(
            f"{named(contents.path)} is a {family.title} model without {part.name}: no tensor {part.prefixes[0]}{part.marker}.",
            hint="Use a complete checkpoint.",
        )
    prefix, shapes = found
    try:
        config = part.config(shapes, contents.settings.get(part.name, {}))
        _check_tensors(contents.path, part, prefix, shapes, config)
    except KeyError as error:
        raise _incomplete(contents.path, part, [f"{prefix}{error.args[0]}"]) from error
    except (ValueError, IndexError) as error:
        raise ModelFormatError(f"{named(contents.path)}: its {part.name} cannot be used: {error}.", hint="Use another file.") from error
    return Weights(family.name, part.name, contents.stamps(prefix), prefix, json.dumps(config, sort_keys=True))


def _check_tensors(path: Path, part: Part, prefix: str, shapes: Shapes, config: dict) -> None:
    """Every tensor the module needs is there and has its shape. Tensors that it does not need are no harm."""
    renaming = part.renaming(config)
    present = {module: (stored, shape) for stored, shape in shapes.items() if (module := renaming.to_module(stored)) is not None}
    missing = []
    for module, wanted in part.tensor_shapes(config).items():
        if module not in present:
            missing.append(prefix + (renaming.to_stored(module) or module))
            continue
        stored, shape = present[module]
        if not same_shape(shape, wanted):
            raise ModelFormatError(
                f"{named(path)}: {prefix}{stored} has shape {list(shape)}, but its {part.name} needs {list(wanted)}.",
                hint="The file may be damaged, or of a kind Easel does not know.",
            )
    if missing:
        raise _incomplete(path, part, missing)


def same_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Equal, or a 1x1 convolution and the matrix it amounts to."""
    return tuple(shape) == tuple(wanted) or (prod(shape) == prod(wanted) and tuple(shape) == (*wanted, 1, 1))


def _incomplete(path: Path, part: Part, missing: list[str]) -> ModelFormatError:
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return ModelFormatError(
        f"{named(path)}: its {part.name} lacks {', '.join(missing[:_SHOWN])}{more}.",
        hint="The file is incomplete; download it again.",
        details={"missing": missing[:1000]},
    )


def _unknown(contents: Contents) -> ModelFormatError:
    names = sorted(contents.places)
    shown = ", ".join(f"{name} {list(contents.places[name].info.shape)}" for name in names[:3])
    what = f"{len(names)} tensors such as {shown}" if names else "no tensors"
    return ModelFormatError(
        f"{named(contents.path)} is of no family that Easel knows ({', '.join(titles())}): it holds {what}.",
        hint="If it is a LoRA, a VAE or a ControlNet, load it with the node for that.",
    )
