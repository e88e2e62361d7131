"""The networks that are trained: a copy of a loaded network that shares its weights, with an adapter of peft's on it.

Nothing is put into the loaded network: the copy has modules of its own around the same storage, and only the adapter has gradients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import torch
from diffusers import ConfigMixin
from peft import LoHaConfig, LoKrConfig, LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from engine.diffusion.adapters.targets import Network, targets, trained_names
from engine.diffusion.training import by_formula
from engine.diffusion.training.frozen import bring_for_use
from engine.diffusion.training.rules import Rules
from engine.diffusion.training.streams import global_stream
from engine.errors import InvalidInput
from engine.values.training import Adapter
from engine.values.weights import Weights

NAME = "default"
_NORM = re.compile(r"\.(?:norm|norm\d|layer_norm\d)$")

FILE_NAMES = {
    "lora_A": "lora_down.weight",
    "lora_B": "lora_up.weight",
    "lora_magnitude_vector": "dora_scale",
    **{f"hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b")},
    **{f"lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")},
    "oft_blocks": "oft_blocks",
    "factors": "weight",
    "diff": "diff",
}
"""The network's name of a tensor of one module, peft's or a role, -> its name in adapter files."""
NORM_ENDS = {"diff": "w_norm", "diff_b": "b_norm"}
BY_PEFT = ("lora", "loha", "lokr")
READ_BY = {
    "rank": (*BY_PEFT, "oft"), "alpha": BY_PEFT, "conv_rank": (*BY_PEFT, "oft", "full"), "conv_alpha": BY_PEFT, "magnitude": ("lora",),
    "rank_stabilised": ("lora",), "dropout": ("lora",), "rank_dropout": BY_PEFT, "module_dropout": BY_PEFT, "max_norm": ("lora",),
    "factor": ("lokr",), "constraint": ("oft",),
}  # fmt: skip
"""Settings -> the kinds of adapter on which they have an effect."""


@dataclass(frozen=True)
class Slot:
    """One trained tensor: the parameter, the path of the module it belongs to, peft's name for it, and the shape it has in files."""

    parameter: nn.Parameter
    path: str
    role: str
    shape: tuple[int, ...]


class Trained(Protocol):
    """A network of which something is trained.

    module: called like the network itself. slots: the trained tensors by the names they are kept under.
    """

    module: Any
    slots: dict[str, Slot]

    def parameters(self) -> list[nn.Parameter]: ...

    def tensors(self) -> dict[str, Tensor]:
        """What is trained, with what else belongs to it, as it is kept; float32 on the CPU."""

    def stored(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Other values of the trained tensors (averages, by slot name) in the form of `tensors`."""

    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Set what is trained to kept tensors. Raises InvalidInput, naming `source`, for what does not belong to this network."""


@dataclass(frozen=True)
class Size:
    """Of the adapter of one module."""

    rank: int
    alpha: float


class AdaptedNetwork:
    """A network with an adapter that is trained.

    module: called like the network itself. slots: trained tensors by the names that adapter files give them. sizes: by the paths of the
    modules that it changes; norms: the paths of norms that it changes too; file_names: what adapter files call both.
    """

    def __init__(self, loaded: nn.Module, weights: Weights, adapter: Adapter, rules: Rules, seed: int) -> None:
        """loaded: the network as the memory manager has it. rules: the adapter's `ranks`, read once for all its networks. The adapter
        starts as `seed` says, with no effect."""
        self.adapter = adapter
        self.weights = weights
        self.network = Network.loaded(loaded, weights)
        self.module = shared_copy(loaded)
        self.sizes = sizes_of(self.network, adapter, rules)
        if adapter.kind in BY_PEFT:
            with global_stream(seed, "adapter", weights.part == "unet"):
                inject_adapter_in_model(_config(adapter, self.sizes), self.module, adapter_name=NAME)
            for parameter in self.module.parameters():
                if parameter.requires_grad:  # peft makes adapters in the network's format, in which small steps would be lost
                    parameter.data = parameter.data.float()
            self._plain_kronecker()
        else:
            by_formula.put_on(self.module, adapter, {path: size.rank for path, size in self.sizes.items()})
        self.norms = norms_beside(self.network, self.sizes) if adapter.norms else []
        by_formula.put_on_norms(self.module, self.norms)
        self.module.train()
        self.slots = dict(self._slots())
        if adapter.kind == "lora":
            self._add_dropout()

    def parameters(self) -> list[nn.Parameter]:
        return [slot.parameter for slot in self.slots.values()]

    def tensors(self) -> dict[str, Tensor]:
        """What is trained, by the names that adapter files give it, with its constants; float32 on the CPU."""
        return self.stored({name: slot.parameter for name, slot in self.slots.items()})

    def stored(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Other values of the trained tensors (averages, by slot name) in the form of `tensors`."""
        return {**{name: self._stored(slot, values[name]) for name, slot in self.slots.items()}, **self.constants()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Set what is trained to tensors of a file or a state. Raises InvalidInput, naming `source`, for another adapter than this one."""
        own = {name for name in tensors if name in self.slots}
        if missing := self.slots.keys() - own:
            raise InvalidInput(
                f"{source} lacks {len(missing)} of {len(self.slots)} trained tensors, such as {min(missing)}.",
                hint="Train the same kind of adapter on the same modules as it has.",
            )
        for name, slot in self.slots.items():
            value = tensors[name]
            if value.numel() != slot.parameter.numel() or value.shape[:1] != slot.shape[:1]:
                raise InvalidInput(
                    f"{source}: {name} has shape {list(value.shape)}, this adapter {list(slot.shape)}.",
                    hint="Set the same ranks as it has.",
                )
            if not value.is_floating_point() or not value.isfinite().all():
                raise InvalidInput(f"{source}: {name} holds numbers that are not finite.", hint="The file is damaged.")
            slot.parameter.copy_(value.reshape(slot.parameter.shape))

    @torch.no_grad()
    def limit_norms(self, largest: float) -> None:
        """Scale every module's change whose norm is above `largest` down to it."""
        for path, size in self.sizes.items():
            down, up = (self._of(path, role) for role in ("lora_A", "lora_B"))
            a, b = down.flatten(1), up.flatten(1)
            # the norm of a product of thin matrices by their small Gram matrices
            squared = ((a @ a.T) * (b.T @ b)).sum().clamp(min=0)
            norm = squared.sqrt() * scale_of(size, self.adapter)
            if norm > largest:
                factor = (largest / norm).sqrt()
                down.mul_(factor)
                up.mul_(factor)

    def _of(self, path: str, role: str) -> nn.Parameter:
        return self.slots[f"{self.file_names[path]}.{FILE_NAMES[role]}"].parameter

    def _slots(self) -> Iterator[tuple[str, Slot]]:
        self.file_names = trained_names(self.network, [*self.sizes, *self.norms])
        for name, parameter in self.module.named_parameters():
            if not parameter.requires_grad:
                continue
            path, role, end = _split(name)
            shape = tuple(parameter.shape)
            if role == "lora_magnitude_vector":
                dimensions = self.module.get_submodule(path).get_base_layer().weight.ndim
                shape = (parameter.numel(), *[1] * (dimensions - 1))
            end = NORM_ENDS[end] if path in self.norms else end
            yield f"{self.file_names[path]}.{end}", Slot(parameter, path, role, shape)

    @staticmethod
    def _stored(slot: Slot, value: Tensor) -> Tensor:
        return value.detach().float().cpu().reshape(slot.shape).clone()

    def constants(self) -> dict[str, Tensor]:
        """What belongs to the adapter besides what is trained: alphas, limits, sides."""
        if self.adapter.kind not in BY_PEFT:
            own = {path: by_formula.constants_of(self.adapter, path) for path in self.sizes}
            return {f"{self.file_names[path]}.{role}": tensor for path, roles in own.items() for role, tensor in roles.items()}
        factor = {path: sqrt(size.rank) if self.adapter.rank_stabilised else 1.0 for path, size in self.sizes.items()}
        return {f"{self.file_names[path]}.alpha": torch.tensor(size.alpha * factor[path]) for path, size in self.sizes.items()}

    def _plain_kronecker(self) -> None:
        """A Kronecker product of two whole matrices has no scale in adapter files, so it has none here."""
        for path in self.sizes if self.adapter.kind == "lokr" else ():
            layer = self.module.get_submodule(path)
            if NAME in layer.lokr_w1 and NAME in layer.lokr_w2:
                layer.scaling[NAME] = 1.0

    def _add_dropout(self) -> None:
        adapter = self.adapter
        if not (adapter.dropout or adapter.rank_dropout or adapter.module_dropout):
            return
        for path in self.sizes:
            self.module.get_submodule(path).lora_A[NAME].register_forward_hook(_Dropout(adapter))


class _Dropout:
    """A forward hook of LoRA's first matrix: drops activations, ranks and whole calls, as kohya's trainer does.

    Draws from torch's global generator, which the loop seeds for each step and gradient checkpointing knows how to replay.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        adapter = self._adapter
        if not module.training:
            return output
        if adapter.module_dropout and torch.rand(()) < adapter.module_dropout:
            return output * 0
        if adapter.dropout:
            output = nn.functional.dropout(output, adapter.dropout)
        if adapter.rank_dropout:
            channels = 1 if isinstance(module, nn.Conv2d) else output.ndim - 1
            shape = [output.shape[0], *[1] * (output.ndim - 1)]
            shape[channels] = output.shape[channels]
            kept = (torch.rand(shape) >= adapter.rank_dropout).to(output)
            output = output * kept / (1 - adapter.rank_dropout)
        return output


def shared_copy(loaded: Any) -> Any:
    """New modules around the very tensors of a loaded network of diffusers or transformers, without gradients."""
    with torch.device("meta"):
        copy = type(loaded).from_config(loaded.config) if isinstance(loaded, ConfigMixin) else type(loaded)(loaded.config)
    state = loaded.state_dict()
    if any(tensor.is_meta for tensor in state.values()):
        raise InvalidInput(
            "The network does not fit on the device as a whole.", hint="Set `swap` in the plan, or train on a device with more memory."
        )
    copy.load_state_dict(state, assign=True)
    for name, buffer in loaded.named_buffers():
        owner, _, own = name.rpartition(".")
        copy.get_submodule(owner).register_buffer(own, buffer, persistent=name in state)
    bring_for_use(copy)
    return copy.eval().requires_grad_(False)


def sizes_of(network: Network, adapter: Adapter, rules: Rules) -> dict[str, Size]:
    """Rank and alpha of every module of one network that the adapter changes, by its path. rules: the adapter's `ranks`."""
    _check(adapter)
    sizes = {}
    found = targets(network, attention_only=adapter.targets == "attention", convolutions=adapter.conv_rank > 0)
    if adapter.kind == "ia3":
        found = [target for target in found if by_formula.is_scaled(target.path)]
    for path, large in ((target.path, target.large) for target in found):
        rank, alpha = (adapter.conv_rank, adapter.conv_alpha) if large else (adapter.rank, adapter.alpha)
        if (own := rules.of(path)) is not None:
            if own and adapter.kind not in READ_BY["rank"]:
                raise InvalidInput(f"ranks: {own:g} has no effect on {adapter.kind}, which has no rank.", hint="0 leaves a module out.")
            rank, alpha = int(own), alpha * own / rank
        if rank:
            sizes[path] = Size(rank, alpha)
    if not sizes:
        raise InvalidInput("The adapter changes no module.", hint="Let `ranks` leave some with a rank above 0.")
    return sizes


def norms_beside(network: Network, paths: Iterable[str]) -> list[str]:
    """The norms that stand in a block with one of these modules."""
    found = []
    for name in network.shapes:
        path, _, parameter = name.rpartition(".")
        block = path.rpartition(".")[0]
        if parameter == "weight" and _NORM.search(path) and any(other.startswith(f"{block}.") for other in paths):
            found.append(path)
    return found


def scale_of(size: Size, adapter: Adapter) -> float:
    """What the adapter's output is multiplied with."""
    return size.alpha / (sqrt(size.rank) if adapter.rank_stabilised else size.rank)


def _split(name: str) -> tuple[str, str, str]:
    """A parameter's name as module path, role, and end of its name in files."""
    path, mark, rest = name.partition(f".{by_formula.PLACE}.")
    if mark:
        parameter, _, role = rest.split(".")
        return path, role, f"{FILE_NAMES[role]}_b" if parameter == "bias" else FILE_NAMES[role]
    parts = name.split(".")
    place = next(number for number, part in enumerate(parts) if part in FILE_NAMES)
    return ".".join(parts[:place]), parts[place], FILE_NAMES[parts[place]]


def _check(adapter: Adapter) -> None:
    """Raises InvalidInput for a setting without effect."""
    for name, kinds in READ_BY.items():
        value, default = getattr(adapter, name), Adapter.model_fields[name].default
        if value != default and adapter.kind not in kinds:
            raise InvalidInput(f"{name} = {value} has no effect on {adapter.kind}.", hint=f"Leave {name} at {default}.")
    if adapter.conv_alpha != Adapter.model_fields["conv_alpha"].default and not adapter.conv_rank:
        raise InvalidInput(
            f"conv_alpha = {adapter.conv_alpha:g} has no effect: conv_rank 0 leaves convolutions out.",
            hint="Set conv_rank, or leave conv_alpha at 1.",
        )
    if adapter.kind == "oft" and (adapter.rank < 2 or adapter.conv_rank == 1):
        raise InvalidInput("Blocks of one row cannot turn.", hint="Set rank and conv_rank to 2 or more for oft.")
    if adapter.magnitude and adapter.max_norm:
        raise InvalidInput("max_norm cannot limit an adapter with a magnitude (DoRA).", hint="Set max_norm to 0.")
    if not (adapter.unet or adapter.text_encoder):
        raise InvalidInput("The adapter changes neither the diffusion network nor the text encoder.", hint="Switch one on.")


def _config(adapter: Adapter, sizes: Mapping[str, Size]) -> Any:
    paths = list(sizes)
    ranks = {path: size.rank for path, size in sizes.items()}
    alphas = {path: size.alpha for path, size in sizes.items()}
    common = {"target_modules": paths, "rank_pattern": ranks, "alpha_pattern": alphas, "r": adapter.rank}
    if adapter.kind == "lora":
        return LoraConfig(
            lora_alpha=adapter.alpha, use_dora=adapter.magnitude, use_rslora=adapter.rank_stabilised, lora_dropout=0.0, **common
        )
    kind = LoHaConfig if adapter.kind == "loha" else LoKrConfig
    extra = {"decompose_factor": adapter.factor} if adapter.kind == "lokr" else {}
    return kind(alpha=adapter.alpha, rank_dropout=adapter.rank_dropout, module_dropout=adapter.module_dropout, **common, **extra)
