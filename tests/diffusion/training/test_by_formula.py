"""Adapters trained by the formula of their files move as they move in LyCORIS, and turn as they turn in peft."""

from __future__ import annotations

import pytest
import torch
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.ia3 import IA3Module
from peft import IA3Config, OFTConfig
from peft.tuners.ia3 import Linear as PeftIa3
from peft.tuners.oft import Linear as PeftOft
from torch import nn

from engine.diffusion.training.by_formula import put_on
from engine.errors import InvalidInput
from engine.values.training import Adapter

STEPS = 5
RATE = 1.0


class Network(nn.Module):
    """One frozen layer under a path of one or two names."""

    def __init__(self, layer: nn.Module, path: str) -> None:
        super().__init__()
        parent, _, own = path.rpartition(".")
        self.add_module(parent or own, nn.ModuleDict({own: layer}) if parent else layer)
        self.path = path
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.get_submodule(self.path)(x)


def learn(network: nn.Module, parameters: list[nn.Parameter], x: torch.Tensor, wanted: torch.Tensor) -> list[float]:
    """The losses of some steps of plain gradient descent."""
    optimizer = torch.optim.SGD(parameters, lr=RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (network(x) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def layers(kind: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """Twice the same layer, and an input."""
    torch.manual_seed(1)
    if kind == "linear":
        layer, x = nn.Linear(24, 32), torch.randn(5, 24) / 5
    else:
        layer, x = nn.Conv2d(8, 16, 3, padding=1), torch.randn(2, 8, 6, 6) / 20
    other = nn.Linear(24, 32) if kind == "linear" else nn.Conv2d(8, 16, 3, padding=1)
    other.load_state_dict(layer.state_dict())
    return layer, other, x


@pytest.mark.parametrize("layer", ["linear", "conv"])
@pytest.mark.parametrize(
    ("name", "adapter", "module", "arguments"),
    [
        ("to_q", Adapter(kind="oft", rank=4), DiagOFTModule, {}),
        ("to_q", Adapter(kind="oft", rank=4, constraint=1e-3), DiagOFTModule, {"constraint": 1e-3}),
        ("to_k", Adapter(kind="ia3"), IA3Module, {"train_on_input": False}),
        ("net.2", Adapter(kind="ia3"), IA3Module, {"train_on_input": True}),
        ("to_q", Adapter(kind="full"), FullModule, {}),
    ],
    ids=["oft", "limited oft", "ia3", "ia3 on the input", "full"],
)
def test_it_learns_as_in_lycoris(layer, name, adapter, module, arguments):
    ours, theirs, x = layers(layer)
    wanted = ours(x).detach() + 0.1 * torch.randn(ours(x).shape, generator=torch.Generator().manual_seed(3))
    network = Network(ours, name)
    assert torch.equal(network(x), theirs(x))
    put_on(network, adapter, {name: adapter.rank})
    assert torch.equal(network(x), theirs(x))
    got = learn(network, [p for p in network.parameters() if p.requires_grad], x, wanted)
    other = module("module", theirs.requires_grad_(False), multiplier=1.0, lora_dim=4, alpha=1, **arguments)
    other.apply_to()
    other.train()
    parameters = [p for key, p in other.named_parameters() if "org" not in key]
    expected = learn(theirs, parameters, x, wanted)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert got[-1] < got[0]


def test_blocks_turn_as_in_peft():
    """peft turns what goes in, files of OFT what comes out: with the weight transposed both are the same."""
    torch.manual_seed(1)
    weight = torch.randn(32, 24)
    layer = nn.Linear(24, 32, bias=False)
    layer.weight = nn.Parameter(weight.clone())
    network = Network(layer, "to_q")
    put_on(network, Adapter(kind="oft", rank=8), {"to_q": 8})
    blocks = next(p for p in network.parameters() if p.requires_grad)
    nn.init.normal_(blocks, std=0.2)
    other = nn.Linear(32, 24, bias=False)
    other.weight = nn.Parameter(weight.T.clone())
    turned = PeftOft(other, "default", OFTConfig(r=0, oft_block_size=8, use_cayley_neumann=False), r=0)
    rows, columns = torch.triu_indices(8, 8, 1)
    with torch.no_grad():
        turned.oft_R["default"].weight.copy_((blocks - blocks.mT)[:, rows, columns])
    x = torch.randn(5, 32)
    torch.testing.assert_close(turned(x), x @ layer.weight, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("feedforward", [False, True])
def test_factors_are_those_of_peft(feedforward):
    torch.manual_seed(1)
    layer = nn.Linear(24, 32, bias=False)
    other = PeftIa3(nn.Linear(24, 32, bias=False), "default", IA3Config(), is_feedforward=feedforward)
    other.base_layer.load_state_dict(layer.state_dict())
    name = "fc2" if feedforward else "to_v"
    network = Network(layer, name)
    put_on(network, Adapter(kind="ia3"), {name: 16})
    factors = next(p for p in network.parameters() if p.requires_grad)
    nn.init.normal_(factors, std=0.2)
    with torch.no_grad():
        scale = other.ia3_l["default"]
        scale.copy_((1 + factors).reshape(scale.shape))
    x = torch.randn(5, 24)
    torch.testing.assert_close(network(x), other(x), atol=1e-5, rtol=1e-4)


def test_rows_that_cannot_be_cut_are_named():
    with pytest.raises(InvalidInput, match="The 7 rows of to_q cannot be cut into blocks of 2 to 4"):
        put_on(Network(nn.Linear(4, 7), "to_q"), Adapter(kind="oft", rank=4), {"to_q": 4})
