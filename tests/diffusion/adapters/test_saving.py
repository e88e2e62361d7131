"""Saved LoRAs read by diffusers, by peft and by Easel itself, and what their headers say."""

import hashlib
import json
import re

import peft
import pytest
import torch
from diffusers.loaders import FluxLoraLoaderMixin, SD3LoraLoaderMixin, StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine.diffusion.adapters import saving
from engine.diffusion.adapters.hashes import model_hash
from engine.diffusion.adapters.layouts import kohya, write
from engine.diffusion.adapters.lora import load_lora
from engine.diffusion.adapters.metadata import About
from engine.diffusion.adapters.reading import family_of, modules_of
from engine.diffusion.adapters.saving import Style, file_of, write_lora
from engine.diffusion.families import ADAPTERS
from engine.errors import InvalidInput, NodeFailed
from engine.values.lora import Lora
from tests.diffusion.adapters import networks
from tests.diffusion.adapters.random_lora import delta, modules, peft_deltas, worst_error

MIXINS = {
    "sd15": StableDiffusionLoraLoaderMixin,
    "sdxl": StableDiffusionXLLoraLoaderMixin,
    "flux": FluxLoraLoaderMixin,
    "sd3": SD3LoraLoaderMixin,
}
PARTS = {
    "sd15": ("sd15 unet", "sd15 text_encoder"),
    "sdxl": ("sdxl unet", "sdxl text_encoder_2"),
    "flux": ("flux transformer",),
    "sd3": ("sd3 transformer",),
}


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return {name: build().requires_grad_(False) for name, build in networks.SMALL.items()}


def lora_for(small, family: str, *, mixed: bool):
    """(wanted modules by network, the LoRA as a value) for the small networks of a family."""
    parts = {}
    for name in PARTS[family]:
        network = networks.network(name, small[name])
        parts[network.part] = modules(network, mixed=mixed)
    return parts, Lora(kohya.write(parts, ADAPTERS[family]), {"ss_base_model_version": ADAPTERS[family].base_model_version})


def load_with_diffusers(family: str, path) -> dict:
    """What diffusers puts on fresh copies of the small networks; deltas by network and path."""
    mixin, loaded = MIXINS[family], {}
    names = {name.split()[1]: networks.SMALL[name]() for name in PARTS[family]}

    class Pipeline(mixin):
        def __init__(self):
            for part in ("unet", "transformer", "text_encoder", "text_encoder_2"):
                setattr(self, part, names.get(part))
            self.hf_device_map = None
            self.components = names

    Pipeline().load_lora_weights(path)
    for part, module in names.items():
        loaded[part] = peft_deltas(module)
    return loaded


@pytest.mark.parametrize(
    ("family", "layout"), [("sd15", "kohya"), ("sdxl", "kohya"), ("flux", "kohya"), *((family, "diffusers") for family in MIXINS)]
)
def test_diffusers_reads_the_same_changes(small, tmp_path, family, layout):
    """With mixed ranks and alphas. There is no reader for kohya's SD3 files in diffusers."""
    parts, lora = lora_for(small, family, mixed=True)
    if (family, layout) == ("flux", "kohya"):  # diffusers divides `linear1` of single blocks at Flux's own width
        double = {path: own for path, own in parts["transformer"].items() if not path.startswith("single")}
        parts, lora = {"transformer": double}, Lora(kohya.write({"transformer": double}, ADAPTERS[family]))
    path = tmp_path / "a.safetensors"
    write_lora(path, lora, Style(layout=layout, dtype="float32"))
    loaded = load_with_diffusers(family, path)
    for part, wanted in parts.items():
        assert worst_error(wanted, loaded[part]) < 1e-4


@pytest.mark.parametrize("name", ["sd15 unet", "sd15 text_encoder", "sdxl text_encoder_2", "flux transformer"])
def test_peft_reads_the_same_changes(small, name):
    network = networks.network(name, small[name])
    wanted = modules(network, mixed=True)
    written = write("peft", {network.part: wanted}, ADAPTERS[network.family])
    model = peft.get_peft_model(networks.SMALL[name](), peft.LoraConfig(**json.loads(written.metadata["adapter_config"])))
    problems = peft.set_peft_model_state_dict(model, written.tensors)
    assert not problems.unexpected_keys
    assert worst_error(wanted, peft_deltas(model.base_model.model)) < 1e-5


@pytest.mark.parametrize("layout", ["kohya", "diffusers", "peft"])
@pytest.mark.parametrize("name", networks.SMALL)
def test_every_layout_comes_back_as_it_was(small, name, layout):
    network = networks.network(name, small[name])
    wanted = modules(network, mixed=True)
    adapters = ADAPTERS[network.family]
    part = network.part if layout != "peft" or network.part != "text_encoder_2" else "text_encoder"
    written = write(layout, {network.part: wanted}, adapters)
    parts, unused = modules_of(Lora(written.tensors), adapters)
    assert unused == () and parts.keys() == {part}
    got = {path: {"alpha": torch.tensor(float(len(tensors["down"]))), **tensors} for path, tensors in parts[part].items()}
    assert worst_error(wanted, {path: delta(tensors) for path, tensors in got.items()}) < 1e-6
    shapes = {path: network.shapes.get(f"{path}.weight") or network.shapes[f"text_model.{path}.weight"] for path in got}
    assert all(got[path]["down"].shape[1:] == shapes[path][1:] and len(got[path]["up"]) == shapes[path][0] for path in got)


def test_kohya_alphas_are_one_number(small):
    _, lora = lora_for(small, "sd15", mixed=True)
    alphas = {tensor.item() for name, tensor in lora.tensors.items() if name.endswith(".alpha") and name.startswith("lora_unet")}
    assert len(alphas) == 1


@pytest.mark.parametrize("family", MIXINS)
def test_the_family_is_known_without_metadata(small, family):
    parts, _ = lora_for(small, family, mixed=False)
    for layout in ("kohya", "diffusers"):
        tensors = write(layout, parts, ADAPTERS[family]).tensors
        assert family_of(Lora(tensors)).family == family


def header(path) -> dict:
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_metadata(small, tmp_path):
    _, lora = lora_for(small, "sd15", mixed=False)
    lora = Lora(lora.tensors, {"ss_learning_rate": "0.0001", "ss_output_name": "pinwheel", "ss_base_model_version": "sd_v1"})
    path = tmp_path / "a.safetensors"
    write_lora(path, lora, Style(about=About(trigger="sks shape", author="me")))
    full = header(path)
    assert full["ss_learning_rate"] == "0.0001" and full["ss_network_dim"] == "2" and full["ss_network_alpha"] == "1"
    assert full["modelspec.architecture"] == "stable-diffusion-v1/lora" and full["modelspec.trigger_phrase"] == "sks shape"
    assert full["modelspec.title"] == "pinwheel" and full["modelspec.author"] == "me" and full["modelspec.prediction_type"] == "epsilon"
    assert full["sshs_model_hash"] == model_hash(path.read_bytes())
    write_lora(path, lora, Style(metadata="minimal"))
    minimal = header(path)
    assert "ss_learning_rate" not in minimal and minimal["ss_network_module"] == "networks.lora"
    assert minimal["sshs_model_hash"] == full["sshs_model_hash"]
    write_lora(path, lora, Style(metadata="none"))
    assert not header(path)


def test_hashes(tmp_path):
    """That of the tensors does not change with the metadata; the old one of a small file is that of nothing."""
    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
    tensors = {"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": torch.ones(8, 2, 1, 1)}
    tensors["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"] = torch.ones(2, 8, 1, 1)
    write_lora(tmp_path / "a.safetensors", Lora(tensors), Style())
    assert header(tmp_path / "a.safetensors")["sshs_legacy_hash"] == "e3b0c442"
    save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "b.safetensors", {"other": "text"})
    assert model_hash((tmp_path / "b.safetensors").read_bytes()) == header(tmp_path / "a.safetensors")["sshs_model_hash"]


BASE = "lora_unet_mid_block_attentions_0_proj_in"


@pytest.mark.parametrize(
    ("up", "down", "reason"),
    [
        (1e6, 1e-9, r"float16 cannot hold the numbers of lora_unet_mid_block_attentions_0_proj_in\.lora_up\.weight"),
        (1e-7, 1.0, r"float16 would change what unet\.mid_block\.attentions\.0\.proj_in does by 19%"),
        (1e-9, 1.0, r"does by 100%"),
    ],
    ids=["too large", "as after few steps", "rounded away"],
)
def test_what_float16_cannot_hold_is_saved_in_float32(tmp_path, up, down, reason):
    other = "lora_unet_mid_block_attentions_0_proj_out"
    tensors = {f"{BASE}.lora_up.weight": torch.full((8, 2, 1, 1), up), f"{BASE}.lora_down.weight": torch.full((2, 8, 1, 1), down)}
    tensors |= {f"{other}.lora_up.weight": torch.full((8, 2, 1, 1), 0.1), f"{other}.lora_down.weight": torch.ones(2, 8, 1, 1)}
    path = tmp_path / "a.safetensors"
    written = write_lora(path, Lora(tensors), Style(dtype="float16"))
    assert written.dtype == "float32" and re.search(reason, written.reason)
    assert written.exactness.error < 1e-6
    assert torch.equal(load_file(path)[f"{BASE}.lora_up.weight"], tensors[f"{BASE}.lora_up.weight"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_usual_numbers_are_saved_as_asked_for(small, tmp_path, dtype):
    _, lora = lora_for(small, "sd15", mixed=True)
    written = write_lora(tmp_path / "a.safetensors", lora, Style(dtype=dtype))
    assert (written.dtype, written.reason) == (dtype, "")
    assert 1e-5 < written.exactness.error < 1e-2


def test_numbers_that_are_not_finite_are_never_saved(tmp_path):
    tensors = {f"{BASE}.lora_up.weight": torch.full((8, 2), float("nan")), f"{BASE}.lora_down.weight": torch.ones(2, 8)}
    with pytest.raises(NodeFailed, match=r"proj_in\.lora_up\.weight has numbers that are not finite"):
        write_lora(tmp_path / "a.safetensors", Lora(tensors), Style())
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_back_as_another_one_is_refused(tmp_path, monkeypatch):
    base = "lora_unet_mid_block_attentions_0_proj_in"
    lora = Lora({f"{base}.lora_up.weight": torch.ones(8, 2, 1, 1), f"{base}.lora_down.weight": torch.ones(2, 8, 1, 1)})
    damaged = Lora({name: tensor.half() * 1.001 for name, tensor in lora.tensors.items()})
    monkeypatch.setattr(saving, "load_lora", lambda path: damaged)
    with pytest.raises(NodeFailed, match="Read back"):
        write_lora(tmp_path / "a.safetensors", lora, Style())


def test_layouts_that_hold_lora_only_refuse_others():
    name = "lora_unet_mid_block_attentions_0_proj_in"
    lora = Lora({f"{name}.diff": torch.ones(8, 8, 1, 1)})
    for layout in ("diffusers", "peft"):
        with pytest.raises(InvalidInput, match="LoRA only"):
            file_of(lora, Style(layout=layout))
    assert b"lora_unet_mid_block_attentions_0_proj_in.diff" in file_of(lora, Style())


def test_an_adapter_of_another_kind_keeps_its_tensors(tmp_path):
    name = "lora_unet_mid_block_attentions_0_proj_in"
    roles = {"hada_w1_a": (8, 2), "hada_w1_b": (2, 8), "hada_w2_a": (8, 2), "hada_w2_b": (2, 8)}
    lora = Lora({**{f"{name}.{role}": torch.randn(shape) for role, shape in roles.items()}, f"{name}.alpha": torch.tensor(1.0)})
    write_lora(tmp_path / "a.safetensors", lora, Style(dtype="float32"))
    read = load_lora(tmp_path / "a.safetensors").tensors
    assert read.keys() == lora.tensors.keys() and all(torch.equal(read[key], tensor) for key, tensor in lora.tensors.items())
    assert header(tmp_path / "a.safetensors")["ss_network_module"] == "lycoris.kohya"
