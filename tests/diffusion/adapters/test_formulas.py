"""What an adapter adds to a weight, compared with peft's modules."""

from functools import partial

import peft
import pytest
import torch
from torch import nn

from engine.diffusion.adapters.formulas import merged

STRENGTH = 0.7


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 20)
        self.conv = nn.Conv2d(8, 6, 3, padding=1)
        self.point = nn.Conv2d(8, 6, 1)

    def forward(self, x):
        return x


def peft_layers(config: peft.PeftConfig) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    net = peft.get_peft_model(Net(), config)
    for parameter in net.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    return {name: getattr(net.base_model.model, name) for name in ("linear", "conv", "point")}


def check(layer: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    weight = layer.get_base_layer().weight.detach()
    wanted = weight + STRENGTH * layer.get_delta_weight("default").detach().reshape(weight.shape)
    got = merged(weight, {role: tensor.detach() for role, tensor in tensors.items()}, STRENGTH)
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["linear", "conv", "point"])
def test_lora(name):
    layer = peft_layers(peft.LoraConfig(r=4, lora_alpha=3, target_modules=["linear", "conv", "point"]))[name]
    check(layer, {"up": layer.lora_B["default"].weight, "down": layer.lora_A["default"].weight, "alpha": torch.tensor(3.0)})


def test_without_alpha_the_factor_is_one():
    layer = peft_layers(peft.LoraConfig(r=4, lora_alpha=4, target_modules=["linear"]))["linear"]
    check(layer, {"up": layer.lora_B["default"].weight, "down": layer.lora_A["default"].weight})


def loha(layer) -> dict[str, torch.Tensor]:
    found = {f"hada_w{n}_{ab}": getattr(layer, f"hada_w{n}_{ab}")["default"] for n in (1, 2) for ab in "ab"}
    found |= {f"hada_t{n}": getattr(layer, f"hada_t{n}")["default"] for n in (1, 2) if "default" in getattr(layer, f"hada_t{n}")}
    return found | {"alpha": torch.tensor(3.0)}


@pytest.mark.parametrize("effective", [False, True])
@pytest.mark.parametrize("name", ["linear", "conv", "point"])
def test_loha(name, effective):
    config = peft.LoHaConfig(r=4, alpha=3, target_modules=["linear", "conv", "point"], use_effective_conv2d=effective)
    layer = peft_layers(config)[name]
    check(layer, loha(layer))


@pytest.mark.parametrize("effective", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 40])
@pytest.mark.parametrize("name", ["linear", "conv", "point"])
def test_lokr(name, rank, both, effective):
    config = peft.LoKrConfig(
        r=rank, alpha=3, target_modules=["linear", "conv", "point"], decompose_both=both, decompose_factor=4, use_effective_conv2d=effective
    )
    layer = peft_layers(config)[name]
    roles = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    tensors = {role: getattr(layer, role)["default"] for role in roles if "default" in getattr(layer, role)}
    if not any(role.endswith("_b") for role in tensors):
        # peft scales by alpha / rank also where nothing is low-rank; LyCORIS does not, and files are LyCORIS's
        tensors["lokr_w1"] = tensors["lokr_w1"] * 3 / rank
    check(layer, tensors | {"alpha": torch.tensor(3.0)})


@pytest.mark.parametrize("name", ["conv", "point"])
def test_a_convolution_with_a_middle(name):
    weight = getattr(Net(), name).weight.detach()
    generator = torch.Generator().manual_seed(1)
    up, down = torch.randn(6, 4, 1, 1, generator=generator), torch.randn(4, 8, 1, 1, generator=generator)
    mid = torch.randn(4, 4, *weight.shape[2:], generator=generator)
    x = torch.randn(1, 8, 9, 9, generator=generator)
    pad = weight.shape[-1] // 2
    through = nn.functional.conv2d(nn.functional.conv2d(nn.functional.conv2d(x, down), mid, padding=pad), up) * (2 / 4)
    got = merged(weight, {"up": up, "mid": mid, "down": down, "alpha": torch.tensor(2.0)}, 1.0)
    wanted = nn.functional.conv2d(x, weight, padding=pad) + through
    torch.testing.assert_close(nn.functional.conv2d(x, got, padding=pad), wanted, atol=1e-4, rtol=1e-4)


def test_a_full_difference_is_added():
    weight, difference = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(merged(weight, {"diff": difference}, 0.5), weight + difference / 2)


@pytest.mark.parametrize("name", ["linear", "conv", "point"])
def test_dora(name):
    """peft computes it in its forward pass; half the strength goes half way to it."""
    layer = peft_layers(peft.LoraConfig(r=4, lora_alpha=3, use_dora=True, target_modules=["linear", "conv", "point"]))[name]
    weight = layer.get_base_layer().weight.detach()
    magnitude = layer.lora_magnitude_vector["default"].weight.detach().reshape(-1, *[1] * (weight.ndim - 1))
    tensors = {
        "up": layer.lora_B["default"].weight.detach(),
        "down": layer.lora_A["default"].weight.detach(),
        "alpha": torch.tensor(3.0),
        "dora_scale": magnitude,
    }
    x = torch.randn(3, 12) if name == "linear" else torch.randn(2, 8, 9, 9)
    function = nn.functional.linear if name == "linear" else partial(nn.functional.conv2d, padding=weight.shape[-1] // 2)
    wanted = layer(x).detach() - function(x, torch.zeros_like(weight), layer.get_base_layer().bias.detach())
    torch.testing.assert_close(function(x, merged(weight, tensors, 1.0)), wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(merged(weight, tensors, 0.5), (weight + merged(weight, tensors, 1.0)) / 2)


def test_dora_over_columns_takes_the_norm_of_the_changed_weight():
    weight, up, down = torch.randn(6, 5), torch.randn(6, 2), torch.randn(2, 5)
    magnitude = torch.rand(1, 5) + 0.5
    got = merged(weight, {"up": up, "down": down, "dora_scale": magnitude}, 1.0)
    torch.testing.assert_close(got.norm(dim=0), magnitude[0])
    torch.testing.assert_close(nn.functional.normalize(got, dim=0), nn.functional.normalize(weight + up @ down, dim=0))
