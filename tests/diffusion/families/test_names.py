"""Names of single files and of the modules, in both directions, against recorded names and diffusers' own conversion."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from engine.diffusion.families import FAMILIES, detect

RECORDED = Path(__file__).parents[2] / "data" / "reference" / "sd15_keys.json"
COUNTS = {"unet": (686, 859_520_964), "vae": (248, 83_653_863), "text_encoder": (196, 123_060_480)}


@pytest.fixture(scope="module")
def shapes():
    return {name: tuple(shape) for name, shape in json.loads(RECORDED.read_text()).items()}


@pytest.fixture(scope="module", params=list(COUNTS))
def part(request):
    return FAMILIES["sd15"].parts[request.param]


def test_a_full_size_file_is_recognised(shapes):
    assert detect(shapes) is FAMILIES["sd15"]


def test_every_recorded_tensor_has_its_place_in_the_module_and_back(shapes, part):
    prefix, own = part.find(shapes)
    config = part.config(own, {})
    renaming, wanted = part.renaming(config), part.tensor_shapes(config)
    assert {renaming.to_module(stored) for stored in own} == set(wanted)
    assert {renaming.to_stored(name): tuple(part.stored_shape(renaming.to_stored(name), shape)) for name, shape in wanted.items()} == own
    assert (len(wanted), sum(shape.numel() for shape in wanted.values())) == COUNTS[part.name]
    assert part.prefixes[0] == prefix


@pytest.mark.parametrize(("name", "convert"), [("unet", convert_ldm_unet_checkpoint), ("vae", convert_ldm_vae_checkpoint)])
def test_names_are_those_of_diffusers_own_conversion(shapes, name, convert):
    part = FAMILIES["sd15"].parts[name]
    prefix, own = part.find(shapes)
    config = part.config(own, {})
    renaming = part.renaming(config)
    stored = {prefix + stored: torch.empty(shape, device="meta") for stored, shape in own.items()}
    known = {id(tensor): stored_name for stored_name, tensor in stored.items()}
    converted = convert(dict(stored), {**config, "class_embed_type": None, "addition_embed_type": None})
    for module, tensor in converted.items():
        if id(tensor) in known:  # attention matrices of the VAE are new tensors
            assert prefix + renaming.to_stored(module) == known[id(tensor)]
    assert set(converted) == {renaming.to_module(stored_name) for stored_name in own}


def test_what_belongs_to_nothing_has_no_name(part, shapes):
    renaming = part.renaming(part.config(part.find(shapes)[1], {}))
    assert renaming.to_module("model_ema.decay") is None
    assert renaming.to_stored("nothing.weight") is None


def test_a_module_path_is_renamed_like_its_tensors(shapes):
    unet = FAMILIES["sd15"].unet
    renaming = unet.renaming(unet.config(unet.find(shapes)[1], {}))
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    assert renaming.to_stored(path) == "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
    assert renaming.to_stored("up_blocks.1.upsamplers.0.conv") == "output_blocks.5.2.conv"
    assert renaming.to_stored("up_blocks.0.upsamplers.0.conv") == "output_blocks.2.1.conv"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.diffusion_model.input_blocks.1.1.proj_in.weight", (320, 320)),  # SD2: matrices around the transformers
        ("model.diffusion_model.label_emb.0.0.weight", (1280, 2816)),  # SDXL: a vector input
    ],
)
def test_other_families_of_the_same_names_are_not_taken_for_it(shapes, name, shape):
    assert detect({**shapes, name: shape}) is None
