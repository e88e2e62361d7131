"""Networks that are trained as a whole (full fine-tuning), and what was trained as a patch of the model it began as."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.diffusion.families import FAMILIES
from engine.diffusion.patched import patched_tensors
from engine.diffusion.training.entry_cache import key_of
from engine.diffusion.training.networks import Slot
from engine.errors import InvalidInput
from engine.values.model import Change, Clip, Model
from engine.values.training import TrainingState


class WholeNetwork:
    """A network of its own, in float32 from the model's files with its patches, whose every weight is trained.

    module: called like the network itself. slots: trained tensors as `part.name`.
    """

    def __init__(self, network: Model | Clip, device: torch.device) -> None:
        weights = network.weights
        part = FAMILIES[weights.family].parts[weights.part]
        self.module = part.empty(weights.arguments)
        own = {name: tensor.clone() for name, tensor in patched_tensors(weights, network.patches)}
        self.module.load_state_dict(own, assign=True)
        self.module.to(device).requires_grad_(True).train()
        self.slots = {
            f"{weights.part}.{name}": Slot(parameter, *name.rpartition(".")[::2], tuple(parameter.shape))
            for name, parameter in self.module.named_parameters()
        }

    def parameters(self) -> list[nn.Parameter]:
        return [slot.parameter for slot in self.slots.values()]

    def tensors(self) -> dict[str, Tensor]:
        return self.stored({name: slot.parameter for name, slot in self.slots.items()})

    def stored(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: values[name].detach().float().cpu().clone() for name in self.slots}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Raises InvalidInput, naming `source`, for tensors of another network, and for such as hold NaN."""
        for name, slot in self.slots.items():
            if name not in tensors or tensors[name].shape != slot.parameter.shape:
                raise InvalidInput(f"{source} is of another model: {name} does not fit.", hint="Continue with the model it was made with.")
            if not tensors[name].is_floating_point() or not tensors[name].isfinite().all():
                raise InvalidInput(f"{source}: {name} holds numbers that are not finite.", hint="The file is damaged.")
            slot.parameter.copy_(tensors[name])


@dataclass(frozen=True, eq=False)
class TrainedWeights:
    """A patch: these tensors, by the module's names, in place of the model's. float32 on the CPU. key: the same for the same training."""

    tensors: Mapping[str, Tensor]
    key: Hashable

    def changes(self) -> Mapping[str, Change]:
        return {name: _Put(tensor) for name, tensor in self.tensors.items()}


@dataclass(frozen=True)
class _Put:
    tensor: Tensor

    def __call__(self, weight: Tensor) -> Tensor:
        return self.tensor.to(weight)


def trained_weights(state: TrainingState, network: Model | Clip) -> TrainedWeights:
    """What a state has for one network: its averaged weights where there are some. Raises InvalidInput for a state without any."""
    prefix = f"{network.weights.part}."
    stored = state.part("average") or state.part("adapter")
    found = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    if not found:
        raise InvalidInput(f"The state has no weights of the {network.weights.part}.", hint="Connect the state of a full training of it.")
    # the losses of all steps tell a training from any other, and reading them is quicker than reading every weight
    return TrainedWeights(found, ("trained", network.weights.part, key_of(state.record["recipe"], state.record["curve"])))
