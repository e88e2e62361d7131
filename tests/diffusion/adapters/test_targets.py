"""Which modules a LoRA changes and what files call them, on networks of full size."""

import pytest

from engine.diffusion.adapters.names import dotted
from engine.diffusion.adapters.reading import locate
from engine.diffusion.adapters.targets import kohya_names, targets
from engine.diffusion.families import ADAPTERS
from tests.diffusion.adapters.networks import BUILDERS, network


@pytest.fixture(scope="module")
def networks():
    return {name: network(name) for name in BUILDERS}


@pytest.mark.parametrize(
    ("name", "usual", "with_convolutions"),
    [
        ("sd15 unet", 192, 192 + 86),
        ("sd15 text_encoder", 72, 72),
        ("sdxl unet", 722, 722 + 66),
        ("sdxl text_encoder", 72, 72),
        ("sdxl text_encoder_2", 192, 192),
        ("flux transformer", 304, 304),
    ],
)
def test_as_many_modules_as_kohya_trains(networks, name, usual, with_convolutions):
    for convolutions, count in ((False, usual), (True, with_convolutions)):
        found = targets(networks[name], convolutions=convolutions)
        assert len(set(kohya_names(networks[name], [target.path for target in found]).values())) == count


def test_convolutions_over_more_than_one_pixel_and_others(networks):
    found = targets(networks["sd15 unet"], convolutions=True)
    assert sum(target.large for target in found) == 50
    shapes = networks["sd15 unet"].shapes
    added = {target.path for target in found} - {target.path for target in targets(networks["sd15 unet"])}
    assert sum(len(shapes[f"{path}.weight"]) == 2 for path in added) == 22


@pytest.mark.parametrize(("name", "count"), [("sd15 unet", 128), ("sdxl unet", 560)])
def test_attention_only(networks, name, count):
    assert len(targets(networks[name], attention_only=True)) == count


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("sd15 unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
         "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"),
        ("sd15 unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
         "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"),
        ("sd15 unet", "mid_block.attentions.0.proj_in", "lora_unet_mid_block_attentions_0_proj_in"),
        ("sd15 unet", "up_blocks.0.upsamplers.0.conv", "lora_unet_up_blocks_0_upsamplers_0_conv"),
        ("sd15 text_encoder", "encoder.layers.3.self_attn.q_proj", "lora_te_text_model_encoder_layers_3_self_attn_q_proj"),
        ("sdxl unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
         "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"),
        ("sdxl unet", "mid_block.attentions.0.proj_in", "lora_unet_middle_block_1_proj_in"),
        ("sdxl unet", "up_blocks.0.attentions.0.transformer_blocks.9.ff.net.0.proj",
         "lora_unet_output_blocks_0_1_transformer_blocks_9_ff_net_0_proj"),
        ("sdxl text_encoder_2", "text_model.encoder.layers.31.mlp.fc2", "lora_te2_text_model_encoder_layers_31_mlp_fc2"),
        ("flux transformer", "transformer_blocks.7.attn.add_k_proj", "lora_unet_double_blocks_7_txt_attn_qkv"),
        ("flux transformer", "single_transformer_blocks.37.proj_mlp", "lora_unet_single_blocks_37_linear1"),
        ("sd3 transformer", "transformer_blocks.2.norm1_context.linear", "lora_unet_joint_blocks_2_context_block_adaLN_modulation_1"),
        ("sd3 transformer", "transformer_blocks.2.attn2.to_out.0", "lora_unet_joint_blocks_2_x_block_attn2_proj"),
    ],
)  # fmt: skip
def test_names_that_kohya_gives(networks, name, path, expected):
    assert kohya_names(networks[name], [path])[path] == expected


@pytest.mark.parametrize("name", BUILDERS)
def test_every_name_leads_back_to_its_module(networks, name):
    """Also of modules that kohya does not train; from names alone, and with each program's spelling."""
    found = networks[name]
    paths = [key.removesuffix(".weight") for key, shape in found.shapes.items() if key.endswith(".weight") and len(shape) > 1]
    adapters, part = ADAPTERS[found.family], found.adapters
    bare = [path.removeprefix("text_model.") for path in paths]
    for spelled in (
        list(kohya_names(found, paths).values()),
        [part.dotted + path for path in paths],
        # peft does not write which network it is; the first that has such modules counts
        [f"base_model.model.{path}" for path in paths] if found.part != "text_encoder_2" else [],
        [part.kohya + path.replace(".", "_") for path in paths],
    ):
        located = locate([f"{module}.lora_up.weight" for module in spelled], adapters)
        assert located.unused == ()
        assert set(located.parts.get(found.part, bare)) == set(bare)


@pytest.mark.parametrize("name", BUILDERS)
def test_dots_are_found_again(networks, name):
    for key in networks[name].shapes:
        path = key.rpartition(".")[0]
        if part := networks[name].adapters.known.match(path):
            assert dotted(path.replace(".", "_")) == path, part
