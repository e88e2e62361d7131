"""What a family of models is: its networks, how they lie in files, and the numbers around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn

from engine.diffusion.families.adapters import Adapters
from engine.diffusion.families.renaming import Renaming
from engine.diffusion.families.unet_layout import Shapes
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.errors import InvalidInput

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One network of a family.

    name: also the folder it has in a diffusers model, whose tensors are listed as `name/...`.
    prefixes: what its tensors' names begin with in a single file, most usual first. marker: a tensor it always has.
    read_config(shapes) -> constructor arguments, of what shapes tell; defaults: the rest. settable: fields that a file's own
    `easel.config` may override, with their type. renaming(config): single-file names <-> the module's names.
    stored_shape(stored name, shape): the shape a weight has in the single-file format, where it differs from the module's.
    """

    name: str
    prefixes: tuple[str, ...]
    marker: str
    read_config: Callable[[Shapes], dict[str, Any]]
    renaming: Callable[[Config], Renaming]
    build: Callable[[Config], nn.Module]
    defaults: Callable[[Config], dict[str, Any]]
    settable: Mapping[str, type] = field(default_factory=dict)
    stored_shape: Callable[[str, torch.Size], torch.Size] = lambda stored, shape: shape

    def find(self, shapes: Shapes) -> tuple[str, dict[str, tuple[int, ...]]] | None:
        """The prefix of this part in a file and the shapes below it, or None if the file does not hold it."""
        for prefix in (*self.prefixes, f"{self.name}/"):
            if prefix + self.marker in shapes:
                return prefix, {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}
        return None

    def config(self, shapes: Shapes, settings: Config) -> dict[str, Any]:
        """Constructor arguments from shapes (prefix stripped), the family's defaults and the file's own settings."""
        read = self.read_config(shapes)
        own = {name: value for name, value in settings.items() if name in self.settable}
        for name, value in own.items():
            if type(value) is not self.settable[name] or (type(value) is int and value < 1):
                raise ValueError(f"its own setting {self.name}.{name} is {value!r:.50}")
        return {**read, **self.defaults(read), **own}

    def empty(self, config: Config) -> nn.Module:
        """The module with its tensors on the meta device: no memory, no random numbers."""
        with torch.device("meta"):
            return self.build(config).eval().requires_grad_(False)

    def tensor_shapes(self, config: Config) -> Mapping[str, torch.Size]:
        """Names and shapes of the tensors that the module needs. Raises ValueError for a configuration that no module has."""
        return _tensor_shapes(self, json.dumps(config, sort_keys=True))

    def __hash__(self) -> int:
        return hash((self.name, self.prefixes))


@lru_cache(maxsize=64)
def _tensor_shapes(part: Part, config: str) -> Mapping[str, torch.Size]:
    try:
        module = part.empty(json.loads(config))
    except (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, StrictDataclassError) as error:
        raise ValueError(f"no module can be built from its shapes and settings ({error})") from error
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


@dataclass(frozen=True)
class TextEncoder:
    """How a family reads a text encoder.

    name: what files of embeddings call it. pad: token id after the end of the text. layer: hidden state taken, -1 the last, -2 the
    one before; final_norm: whether the last layer norm is applied to it.
    """

    part: Part
    name: str
    pad: int
    layer: int = -1
    final_norm: bool = True


class Told(NamedTuple):
    """What a diffusion network is told beside a noised latent; all float32 on its device.

    timestep: [B], as the family's noise levels give it. context: [B, N, D], the encoded text. pooled: [B, P], the text as one vector,
    None where the captions were encoded without. sizes: [B, 6], height and width of the picture, top and left of its cut, height and
    width of the cut, in pixels.
    """

    timestep: Tensor
    context: Tensor
    pooled: Tensor | None
    sizes: Tensor

    def of(self, rows: Tensor) -> Told:
        """Of some of the batch. rows: [B] bool."""
        return Told(*(None if tensor is None else tensor[rows] for tensor in self))  # type: ignore[arg-type]


def pooled_of(told: Told, title: str) -> Tensor:
    """Raises InvalidInput where there is none."""
    if told.pooled is None:
        raise InvalidInput(f"{title} reads a pooled text too, and the captions were encoded without.", hint="Encode them again.")
    return told.pooled


def call_unet(network: Any, x: Tensor, told: Told) -> Tensor:
    """A U-Net that reads nothing but a latent, a timestep and a text."""
    return network(x, told.timestep, encoder_hidden_states=told.context, return_dict=False)[0]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of model: what is known of it beside its files.

    prediction: what the diffusion network predicts, a name of sampling.prediction. call(network, x, told): its output for a noised
    latent [B, C, h, w], in the same shape. patch: side of the squares of the latent that the network reads as its channels.
    adapters: how adapter files name its modules, and which a LoRA changes.
    """

    name: str
    title: str
    latent_format: LatentFormat
    prediction: str
    call: Callable[[Any, Tensor, Told], Tensor]
    adapters: Adapters
    patch: int = 1


@dataclass(frozen=True, kw_only=True)
class Family(Kind):
    """A kind of model whose checkpoints can be opened.

    matches(shapes): whether a file with these tensor names and shapes is one. latent_rgb: rows of (red, green, blue) per latent channel
    of the network's space, optionally one more row added to all, that give a rough picture in -1..1.
    """

    matches: Callable[[Shapes], bool]
    unet: Part
    vae: Part
    text: TextEncoder
    latent_rgb: tuple[tuple[float, ...], ...]

    @property
    def parts(self) -> dict[str, Part]:
        return {part.name: part for part in (self.unet, self.vae, self.text.part)}
