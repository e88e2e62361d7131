"""Beginning a training with the weights of an adapter that exists, in any naming that Easel reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from engine.diffusion.adapters.layouts.kohya import SUFFIXES
from engine.diffusion.adapters.lora import located
from engine.diffusion.adapters.low_rank import alpha_of, is_low_rank, rank_of
from engine.diffusion.adapters.reading import Source, tensors_of
from engine.diffusion.training.networks import NORM_ENDS, AdaptedNetwork, Size
from engine.errors import InvalidInput
from engine.values.lora import Lora

SOURCE = "The adapter to start from"


def start_from(networks: Sequence[AdaptedNetwork], lora: Lora) -> None:
    """Let networks begin as an adapter left them.

    A LoRA may have another alpha, which the second matrices make up for, and smaller ranks: what is new of a rank begins without effect.
    Raises InvalidInput, naming one, for modules that only one of both has, for tensors that belong to nothing, for larger ranks, and
    for adapters of other kinds and shapes.
    """
    found = located(lora, {network.weights.part: network.weights for network in networks})
    trained = {network.weights.part: {*network.sizes, *network.norms} for network in networks}
    unused = [*found.unused]
    for part, sources in found.parts.items():
        unused += [f"{part}.{path}" for path in sources if path not in trained.get(part, ())]
    if unused:
        raise InvalidInput(
            f"{SOURCE} has what is not trained here, in {len(unused)} places such as {min(unused)[:200]}.",
            hint="Train the same networks and modules as it has, or merge it into the model with Load LoRA and start anew.",
        )
    for network in networks:
        own = found.parts.get(network.weights.part, {})
        if missing := {*network.sizes, *network.norms} - own.keys():
            raise InvalidInput(
                f"{SOURCE} lacks {len(missing)} of {len(network.sizes) + len(network.norms)} trained modules, such as {min(missing)}.",
                hint="Train the same kind of adapter on the same modules as it has.",
            )
        _begin(network, lora, own)


def _begin(network: AdaptedNetwork, lora: Lora, sources: Mapping[str, Source]) -> None:
    kept: dict[str, Tensor] = {}
    current, constants = network.tensors(), network.constants()
    for path, size in network.sizes.items():
        base = network.file_names[path]
        tensors = {role: tensor.float() for role, tensor in tensors_of(lora, sources[path]).items()}
        if network.adapter.kind == "lora" and is_low_rank(tensors):
            wanted = float(constants[f"{base}.alpha"]) / size.rank
            tensors = _fitted(tensors, wanted, current[f"{base}.lora_down.weight"], path)
        own = {f"{base}.{SUFFIXES.get(role, role)}": tensor for role, tensor in tensors.items()}
        for name in (f"{base}.alpha", f"{base}.on_input"):
            found = own.pop(name, None)
            if name in constants and network.adapter.kind != "lora":
                _check_constant(name, found, float(constants[name]), network.adapter.kind, size)
        kept |= own
    for path in network.norms:
        tensors = tensors_of(lora, sources[path])
        kept |= {f"{network.file_names[path]}.{NORM_ENDS[SUFFIXES.get(role, role)]}": tensor for role, tensor in tensors.items()}
    if other := kept.keys() - network.slots.keys():
        raise InvalidInput(f"{SOURCE} has {min(other)}, which this kind of adapter has not.", hint="Train the same kind as it is.")
    network.load(kept, SOURCE)


def _fitted(tensors: dict[str, Tensor], scale: float, beginning: Tensor, path: str) -> dict[str, Tensor]:
    """A LoRA's matrices with another scale, and with the ranks of `beginning`, whose further rows meet zeros."""
    down, up = tensors["down"], tensors["up"]
    if not down.ndim or down.numel() != len(down) * beginning[0].numel() or up.shape[1:2] != down.shape[:1]:
        raise InvalidInput(
            f"{SOURCE} has matrices of shape {list(down.shape)} and {list(up.shape)} at {path}, which do not fit.",
            hint="The file is damaged, or made for another model.",
        )
    rank, wanted = rank_of(tensors), len(beginning)
    if rank > wanted:
        raise InvalidInput(
            f"{SOURCE} has rank {rank} at {path}, this one {wanted}.",
            hint="Set the same ranks, or put Resize LoRA between, which tells what is lost.",
        )
    factor = alpha_of(tensors) / rank / scale
    up = up * factor if factor != 1.0 else up
    down = down.reshape(rank, *beginning.shape[1:])
    if rank < wanted:
        up = torch.cat([up, up.new_zeros(up.shape[0], wanted - rank, *up.shape[2:])], 1)
        down = torch.cat([down, beginning[rank:]])
    return {**{role: tensor for role, tensor in tensors.items() if role != "alpha"}, "up": up, "down": down}


def _check_constant(name: str, found: Tensor | None, wanted: float, kind: str, size: Size) -> None:
    """An alpha, or another number that is not trained, must be this adapter's."""
    silent = 0.0 if kind == "oft" else float(size.rank)
    value = silent if found is None else float(found)
    if value != wanted:
        raise InvalidInput(f"{SOURCE} has {name} = {value:g}, this one {wanted:g}.", hint="Set the same number as it has.")
