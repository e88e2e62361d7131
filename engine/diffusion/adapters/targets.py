"""Which modules of a network a LoRA changes, and what kohya's files call them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from engine.diffusion.families import ADAPTERS, FAMILIES
from engine.diffusion.families.adapters import AdapterPart, BlockNames
from engine.diffusion.families.unet_layout import Shapes
from engine.values.weights import Weights


@dataclass(frozen=True)
class Network:
    """A network as adapters see it. family: a name of ADAPTERS; part: one of its networks; shapes: of its tensors, by name.

    config: constructor arguments, where its files name modules by them.
    """

    family: str
    part: str
    shapes: Shapes
    config: Mapping | None = None

    @staticmethod
    def of(weights: Weights) -> Network:
        """The network of a model value."""
        shapes = FAMILIES[weights.family].parts[weights.part].tensor_shapes(weights.arguments)
        return Network(weights.family, weights.part, shapes, weights.arguments)

    @staticmethod
    def loaded(module: nn.Module, weights: Weights) -> Network:
        """The network of these weights as it is loaded."""
        shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
        return Network(weights.family, weights.part, shapes, weights.arguments)

    @property
    def adapters(self) -> AdapterPart:
        return ADAPTERS[self.family].parts[self.part]

    def parameter(self, path: str, parameter: str) -> str | None:
        """The name that a module's "weight" or "bias" has in this network, None if it has none."""
        for name in (f"{path}.{parameter}", f"text_model.{path}.{parameter}"):
            if name in self.shapes:
                return name
        return None


@dataclass(frozen=True)
class Target:
    """A module that is changed. large: whether it is a convolution over more than one pixel."""

    path: str
    large: bool


def targets(network: Network, *, attention_only: bool = False, convolutions: bool = False) -> list[Target]:
    """The modules that a LoRA changes, in the network's order.

    By default those of kohya's `networks.lora`: matrices and 1x1 convolutions of transformers, attention and MLP of text encoders.
    attention_only: those of attentions alone, as diffusers' example scripts. convolutions: also those between the transformers (LoCon).
    """
    part = network.adapters
    pattern = part.attention if attention_only else part.transformer
    found = []
    for name, shape in network.shapes.items():
        path, _, parameter = name.rpartition(".")
        if parameter != "weight" or len(shape) < 2:
            continue
        added = convolutions and part.convolutions is not None and part.convolutions.fullmatch(path)
        if added or pattern.fullmatch(path):
            found.append(Target(path, len(shape) == 4 and tuple(shape[2:]) != (1, 1)))
    return found


def kohya_names(network: Network, paths: Iterable[str]) -> dict[str, str]:
    """What kohya's files call modules: `lora_unet_mid_block_attentions_0_proj_in`.

    Modules that are one there (query, key and value of Flux and SD3) have one name; `layouts.kohya.write` joins their tensors.
    """
    part = network.adapters
    names = part.names(network.config)
    return {path: kohya_name(part, names.place(path).stored) for path in paths}


def trained_names(network: Network, paths: Iterable[str]) -> dict[str, str]:
    """What a training calls the modules that it changes: as kohya's files do, but where those join modules or turn them round each has
    the name of its own path, which is read as well."""
    paths = list(paths)
    part = network.adapters
    if isinstance(part.names(network.config), BlockNames):
        return {path: part.dotted + path for path in paths}
    return kohya_names(network, paths)


def kohya_name(part: AdapterPart, stored: str) -> str:
    return part.kohya + stored.replace(".", "_")
