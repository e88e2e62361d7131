"""The device and the number formats."""

import json

import pytest
import torch

from engine.diffusion import devices
from engine.diffusion.devices import choose
from engine.errors import InvalidSettings


def test_reference_on_a_processor_is_float32_with_text_weights_of_float16():
    numerics = choose("cpu", "reference")
    assert (numerics.network, numerics.vae, numerics.text, numerics.text_rounding) == (torch.float32,) * 3 + (torch.float16,)


@pytest.mark.parametrize(("has", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_only_where_the_processor_has_it(monkeypatch, has, wanted):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert choose("cpu", "auto").network is wanted


def test_fp32_leaves_weights_as_they_are():
    numerics = choose("cpu", "fp32")
    assert (numerics.network, numerics.vae, numerics.text_rounding) == (torch.float32, torch.float32, None)


@pytest.mark.parametrize("name", ["cuda:99", "abacus", "meta", "mps:7", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InvalidSettings, match="device"):
        choose(name)


def test_an_unknown_precision_is_refused():
    with pytest.raises(InvalidSettings, match="half"):
        choose("cpu", "half")


def test_the_description_tells_settings_apart_and_is_json():
    described = {precision: json.dumps(choose("cpu", precision).describe()) for precision in ("reference", "fp32", "bf16", "fp16")}
    assert len(set(described.values())) == 4
    assert torch.__version__ in described["fp32"]


def test_a_graphics_card_takes_float16_and_for_the_vae_bfloat16_if_it_has_it(monkeypatch):
    monkeypatch.setattr(devices, "_device", lambda name: torch.device("cuda"))
    for capability, vae in (((8, 0), torch.bfloat16), ((7, 5), torch.float32)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, capability=capability: capability)
        numerics = choose("cuda", "reference")
        assert (numerics.network, numerics.vae, numerics.text) == (torch.float16, vae, torch.float32)
