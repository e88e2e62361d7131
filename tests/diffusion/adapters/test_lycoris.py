"""Adapters as LyCORIS writes them do what they do in LyCORIS while they are trained.

Its own merging is no measure: for LoHa it has the scale twice.
"""

from functools import partial

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from torch import nn

from engine.diffusion.adapters.formulas import merged
from engine.diffusion.adapters.names import split

LAYERS = {
    "linear": lambda: nn.Linear(24, 32),
    "square": lambda: nn.Linear(32, 32),
    "conv": lambda: nn.Conv2d(8, 16, 3, padding=1),
    "point": lambda: nn.Conv2d(8, 16, 1),
}
EVERY = tuple(LAYERS)
KINDS = {
    "lora": (LoConModule, {}, EVERY),
    "lora with a middle": (LoConModule, {"use_tucker": True}, ("conv",)),
    "rank-stabilised lora": (LoConModule, {"rs_lora": True}, EVERY),
    "dora": (LoConModule, {"weight_decompose": True}, EVERY),
    "dora over columns": (LoConModule, {"weight_decompose": True, "wd_on_out": False}, ("linear", "conv")),
    "loha": (LohaModule, {}, EVERY),
    "loha with a core": (LohaModule, {"use_tucker": True}, ("conv",)),
    "loha with a magnitude": (LohaModule, {"weight_decompose": True}, EVERY),
    "lokr": (LokrModule, {"factor": 4}, EVERY),
    "lokr of two low-rank matrices": (LokrModule, {"factor": 8, "decompose_both": True, "lora_dim": 1}, ("linear", "conv")),
    "lokr of two whole matrices": (LokrModule, {"factor": 4, "full_matrix": True}, EVERY),
    "lokr with a core": (LokrModule, {"factor": 2, "use_tucker": True, "lora_dim": 2}, ("conv",)),
    "ia3": (IA3Module, {"train_on_input": False}, EVERY),
    "ia3 on the input": (IA3Module, {"train_on_input": True}, ("linear", "conv")),
    "glora": (GLoRAModule, {}, ("linear", "square")),
    "full": (FullModule, {}, EVERY),
    "oft": (DiagOFTModule, {}, EVERY),
    "oft with a limit": (DiagOFTModule, {"constraint": 1e-3}, EVERY),
    "oft, rescaled": (DiagOFTModule, {"rescaled": True}, EVERY),
    "boft": (ButterflyOFTModule, {}, EVERY),
    "boft, rescaled": (ButterflyOFTModule, {"rescaled": True}, EVERY),
}
CASES = [(kind, layer) for kind, (_, _, layers) in KINDS.items() for layer in layers]


def written(module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a module by role, as LyCORIS writes them into files."""
    state = {f"module.{name}": tensor.detach() for name, tensor in (module.custom_state_dict() or module.state_dict()).items()}
    return {found[1]: tensor.float() for name, tensor in state.items() if (found := split(name)) is not None}


@pytest.mark.parametrize(("kind", "layer"), CASES)
def test_it_does_what_it_did_while_it_was_trained(kind, layer):
    torch.manual_seed(5)
    build, arguments, _ = KINDS[kind]
    original = LAYERS[layer]()
    weight, bias = original.weight.detach().clone(), original.bias.detach().clone()
    module = build("module", original, multiplier=1.0, **{"lora_dim": 4, "alpha": 2.0, **arguments})
    for name, parameter in module.named_parameters():
        if "dora_scale" not in name and "org_module" not in name:
            nn.init.normal_(parameter, std=0.2)
    module.apply_to()
    module.eval()
    tensors = written(module)
    x = torch.randn(5, weight.shape[1]) if weight.ndim == 2 else torch.randn(2, weight.shape[1], 6, 6)
    function = nn.functional.linear if weight.ndim == 2 else partial(nn.functional.conv2d, padding=weight.shape[-1] // 2)
    got = function(x, merged(weight, tensors, 1.0), bias + tensors.get("bias", 0))
    torch.testing.assert_close(got, original(x).detach(), atol=1e-5, rtol=1e-4)


def test_a_norm():
    original = nn.LayerNorm(8)
    module = NormModule("module", original, multiplier=1.0)
    for parameter in (module.w_norm, module.b_norm):
        nn.init.normal_(parameter)
    tensors = {split(f"module.{name}")[1]: tensor for name, tensor in {"w_norm": module.w_norm, "b_norm": module.b_norm}.items()}
    got = merged(original.weight.detach(), {"diff": tensors["diff"].detach()}, 0.5)
    torch.testing.assert_close(got, original.weight.detach() + 0.5 * module.w_norm.detach())
    torch.testing.assert_close(merged(original.bias.detach(), {"diff": tensors["bias"].detach()}, 1.0), module.b_norm.detach())


@pytest.mark.parametrize("kind", ["oft", "boft, rescaled"])
def test_half_a_rotation_lies_half_way(kind):
    """Between two strengths the result of one rotation is on the line from the weight to the turned weight."""
    torch.manual_seed(5)
    build, arguments, _ = KINDS["oft"]
    original = LAYERS["linear"]()
    weight = original.weight.detach().clone()
    module = build("module", original, multiplier=1.0, lora_dim=4, alpha=0, **arguments)
    nn.init.normal_(module.oft_blocks, std=0.2)
    tensors = written(module)
    torch.testing.assert_close(merged(weight, tensors, 0.5), (weight + merged(weight, tensors, 1.0)) / 2, atol=1e-6, rtol=1e-5)
