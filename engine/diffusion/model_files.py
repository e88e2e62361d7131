"""Networks into safetensors files: with their patches merged in, read back and compared before they count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.checkpoint_files import CONFIG_KEY, LATENT_RGB_KEY, places_of
from engine.diffusion.checkpoints import load_checkpoint, load_vae
from engine.diffusion.families import FAMILIES
from engine.diffusion.families.family import Part
from engine.diffusion.loading import DTYPES, tensors
from engine.diffusion.patched import patched_tensors
from engine.diffusion.weights_file import read_header
from engine.errors import InvalidInput, NodeFailed, named
from engine.values.model import Clip, Model, Vae
from engine.values.weights import FileStamp, Weights

Network = Model | Clip | Vae
KEPT = {"F32": torch.float32, "F64": torch.float32, "BF16": torch.bfloat16}
"""Number formats of files that stay; what comes in any other one, such as 8 bits, is written as float16."""


@dataclass(frozen=True)
class Written:
    """What was written. error: how far all numbers together are from what was computed (relative, Frobenius norm), by rounding."""

    tensors: int
    error: float


def write_checkpoint(path: Path, model: Model, clip: Clip, vae: Vae, texts: Mapping[str, str]) -> Written:
    """One file as `load_checkpoint` and other programs open it. texts: further metadata.

    Each tensor has the number format that it has in the file it comes from. Raises InvalidInput for networks of several families,
    NodeFailed for numbers that the format cannot hold, a disk that is full, and a file that is another one when it is read.
    """
    networks: list[Network] = [model, clip, vae]
    if len({network.weights.family for network in networks}) > 1:
        raise InvalidInput("The three networks are of different families of models.", hint="Save networks that belong together.")
    written = _write(path, networks, [_part(network).prefixes[0] for network in networks], texts)
    opened = load_checkpoint(path)
    _check_opened([opened.model, opened.clip, opened.vae], networks)
    return written


def write_network(path: Path, network: Network, texts: Mapping[str, str]) -> Written:
    """A file of one network: a diffusion network under its names in a checkpoint, an autoencoder without a prefix, a text encoder as
    transformers names it. Raises what `write_checkpoint` does."""
    prefix = {Model: _part(network).prefixes[0], Vae: "", Clip: "text_model."}[type(network)]
    written = _write(path, [network], [prefix], texts)
    if isinstance(network, Vae):
        _check_opened([load_vae(path)], [network])
    return written


def _part(network: Network) -> Part:
    return FAMILIES[network.weights.family].parts[network.weights.part]


def _write(path: Path, networks: Sequence[Network], prefixes: Sequence[str], texts: Mapping[str, str]) -> Written:
    stored: dict[str, Tensor] = {}
    for network, prefix in zip(networks, prefixes, strict=True):
        for name, tensor in _rounded(network):
            key = prefix + _stored_name(network, name)
            if not tensor.isfinite().all():
                raise NodeFailed(f"{key} cannot be written as {tensor.dtype}: it has numbers that are not finite.", hint=_BROKEN)
            shape = _part(network).stored_shape(_stored_name(network, name), tensor.shape)
            stored[key] = tensor.reshape(shape).contiguous()
    try:
        save_file(stored, path, _metadata(networks, texts))
    except (OSError, SafetensorError) as error:
        raise NodeFailed(
            f"The model could not be written to {named(path.parent)}: {error}.", hint="Make room on the disk, or check its permissions."
        ) from error
    count = len(stored)
    del stored
    squares = [_compared(path, network, prefix) for network, prefix in zip(networks, prefixes, strict=True)]
    lost, whole = (sum(pair[place] for pair in squares) for place in (0, 1))
    return Written(count, (lost / whole) ** 0.5 if whole else 0.0)


_BROKEN = "A patch or the training has broken it, or the numbers are too large for the file's format."


def _stored_name(network: Network, name: str) -> str:
    renamed = _part(network).renaming(network.weights.arguments).to_stored(name)
    assert renamed is not None  # noqa: S101  (the module was opened by these names)
    return renamed


def _patched(network: Network) -> Iterator[tuple[str, Tensor]]:
    return patched_tensors(network.weights, () if isinstance(network, Vae) else network.patches)


def _rounded(network: Network) -> Iterator[tuple[str, Tensor]]:
    """A network's tensors by the module's names, patched, in the number formats of the file they come from."""
    renaming = _part(network).renaming(network.weights.arguments)
    formats = {renaming.to_module(stored): place.info.dtype for stored, place in places_of(network.weights).items()}
    for name, tensor in _patched(network):
        if not tensor.is_floating_point():
            yield name, tensor
        else:
            yield name, tensor.to(KEPT.get(formats[name], torch.float16))


def _compared(path: Path, network: Network, prefix: str) -> tuple[float, float]:
    """The squared norms of what rounding has lost and of everything. Raises NodeFailed if a tensor of the file is not the rounded one."""
    file = read_header(path)
    stamp = FileStamp(str(path), file.size, file.modified_ns)
    own = network.weights
    there = dict(tensors(Weights(own.family, own.part, (stamp,), prefix, own.config), torch.float32, torch.device("cpu")))
    lost = whole = 0.0
    for name, tensor in _patched(network):
        place = file.tensors[prefix + _stored_name(network, name)]
        read = there.pop(name).reshape(tensor.shape)
        if not torch.equal(read, tensor.to(DTYPES[place.dtype]).to(read.dtype)):
            raise NodeFailed(f"Read back, {prefix}{name} is not what was to be saved.", hint="The disk may be damaged.")
        lost += float((read.double() - tensor.double()).square().sum())
        whole += float(tensor.double().square().sum())
    return lost, whole


def _check_opened(opened: Sequence[Network], meant: Sequence[Network]) -> None:
    for got, wanted in zip(opened, meant, strict=True):
        if (got.weights.family, got.weights.part, got.weights.config) != (
            wanted.weights.family,
            wanted.weights.part,
            wanted.weights.config,
        ):
            raise NodeFailed(
                f"Read back, the {wanted.weights.part} is built otherwise than what was to be saved.", hint="Report this with the workflow."
            )


def _metadata(networks: Sequence[Network], texts: Mapping[str, str]) -> dict[str, str]:
    """What the header says: what shapes do not tell of each network, how latents look, the kind of model, and the workflow."""
    settings = {}
    for network in networks:
        arguments, part = network.weights.arguments, _part(network)
        settings[part.name] = {name: arguments[name] for name in part.settable if name in arguments}
    adapters = FAMILIES[networks[0].weights.family].adapters
    found = {
        "format": "pt",
        CONFIG_KEY: json.dumps(settings, sort_keys=True),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": adapters.architecture,
        "modelspec.implementation": adapters.implementation,
        **texts,
    }
    rows = next((network.latent_rgb for network in networks if isinstance(network, Model)), ())
    return {**found, LATENT_RGB_KEY: json.dumps(rows)} if rows else found
