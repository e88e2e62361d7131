"""LoRA files of several programs on a model."""

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.adapters.lora import apply_lora, load_lora
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.errors import MissingFile, ModelFormatError
from engine.values.lora import Lora
from tests.diffusion import small_checkpoint

UNET = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0"
TEXT = "encoder.layers.0.self_attn.q_proj"
UP, DOWN = torch.randn(64, 4, generator=torch.Generator().manual_seed(1)), torch.randn(4, 64, generator=torch.Generator().manual_seed(2))

SPELLINGS = {
    "kohya": (
        "lora_unet_" + UNET.replace(".", "_"),
        "lora_te_" + f"text_model.{TEXT}".replace(".", "_"),
        ".lora_{}.weight",
        ("up", "down"),
    ),
    "kohya, single-file names": (
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        ".lora_{}.weight",
        ("up", "down"),
    ),
    "peft": (f"unet.{UNET}", f"text_encoder.text_model.{TEXT}", ".lora_{}.weight", ("B", "A")),
    "diffusers, early": (
        "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q",
        f"text_encoder.text_model.{TEXT}",
        "_lora.{}.weight",
        ("up", "down"),
    ),
    "ComfyUI's trainer": (
        "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q",
        f"text_encoders.clip_l.transformer.text_model.{TEXT}",
        ".lora_{}.weight",
        ("up", "down"),
    ),
    "OneTrainer": (
        "lora_unet_" + UNET.replace(".", "_"),
        f"lora_te1_text_model_{TEXT.replace('.', '_')}",
        ".lora_{}.weight",
        ("up", "down"),
    ),
    "OneTrainer, with dots": (f"lora_unet.{UNET}", f"lora_te.text_model.{TEXT}", ".lora_{}.weight", ("up", "down")),
    "peft, one network": (f"base_model.model.{UNET}", f"base_model.model.text_model.{TEXT}", ".lora_{}.weight", ("B", "A")),
    "SimpleTuner": ("lycoris_" + UNET.replace(".", "_"), f"text_encoder.text_model.{TEXT}", ".lora_{}.weight", ("up", "down")),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


def weight(memory, use, value, name: str) -> torch.Tensor:
    with use(value) as module:
        return module.get_parameter(name).clone()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_finds_its_weights(checkpoint, memory, tmp_path, spelling):
    unet, text, suffix, ends = SPELLINGS[spelling]
    tensors = {}
    for module in (unet, text):
        tensors[module + suffix.format(ends[0])] = UP.clone()
        tensors[module + suffix.format(ends[1])] = DOWN.clone()
    save_file(tensors, tmp_path / "lora.safetensors")
    model, clip, unused = apply_lora(checkpoint.model, checkpoint.clip, load_lora(tmp_path / "lora.safetensors"), 0.5, -2.0)
    assert unused == ()
    before = weight(memory, memory.unet, checkpoint.model, f"{UNET}.weight")
    torch.testing.assert_close(weight(memory, memory.unet, model, f"{UNET}.weight"), before + 0.5 * UP @ DOWN)
    before = weight(memory, memory.text_encoder, checkpoint.clip, f"{TEXT}.weight")
    torch.testing.assert_close(weight(memory, memory.text_encoder, clip, f"{TEXT}.weight"), before - 2.0 * UP @ DOWN)


def kohya(path: str, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    base = "lora_unet_" + path.replace(".", "_")
    return {f"{base}.lora_up.weight": UP, f"{base}.lora_down.weight": DOWN, **{f"{base}.{name}": tensor for name, tensor in more.items()}}


def test_several_loras_add_up_in_order(checkpoint, memory):
    model = checkpoint.model
    for strength in (1.0, 0.5):
        model = apply_lora(model, None, Lora(kohya(UNET, alpha=torch.tensor(2.0))), strength, 0).model
    before = weight(memory, memory.unet, checkpoint.model, f"{UNET}.weight")
    torch.testing.assert_close(weight(memory, memory.unet, model, f"{UNET}.weight"), before + 1.5 * 0.5 * UP @ DOWN)


def test_a_bias_and_a_norm_are_added(checkpoint, memory):
    out = "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_out.0"
    norm = "diffusion_model.input_blocks.4.1.norm"
    lora = Lora({f"{out}.diff_b": torch.ones(64), f"{norm}.w_norm": torch.ones(64), f"{norm}.b_norm": 2 * torch.ones(64)})
    model = apply_lora(checkpoint.model, None, lora, 0.5, 0).model
    for name, added in (
        (f"{OUT}.bias", 0.5),
        ("down_blocks.1.attentions.0.norm.weight", 0.5),
        ("down_blocks.1.attentions.0.norm.bias", 1.0),
    ):
        torch.testing.assert_close(weight(memory, memory.unet, model, name), weight(memory, memory.unet, checkpoint.model, name) + added)


def test_strength_zero_and_nothing_for_a_network_leave_it_as_it_is(checkpoint):
    model, clip, _ = apply_lora(checkpoint.model, checkpoint.clip, Lora(kohya(UNET)), 0.0, 1.0)
    assert model is checkpoint.model and clip is checkpoint.clip


def test_tensors_that_belong_to_nothing_are_named(checkpoint):
    lora = Lora({**kohya(UNET), "lora_unet_nowhere.lora_up.weight": UP, "strange": UP})
    assert apply_lora(checkpoint.model, None, lora, 1.0, 0).unused == ("lora_unet_nowhere.lora_up.weight", "strange")


def test_a_lora_of_another_family_is_refused(checkpoint):
    with pytest.raises(ModelFormatError, match=r"none of its 1 tensors.*lora_transformer_x"):
        apply_lora(checkpoint.model, checkpoint.clip, Lora({"lora_transformer_x.lora_up.weight": UP}), 1.0, 1.0)


def test_a_lora_of_other_shapes_says_which(checkpoint, memory):
    wrong = Lora({name: tensor[:, :3] if "down" in name else tensor for name, tensor in kohya(UNET).items()})
    model = apply_lora(checkpoint.model, None, wrong, 1.0, 0).model
    with pytest.raises(ModelFormatError, match=r"does not fit down_blocks\.1.*to_q of shape \[64, 64\]"):
        weight(memory, memory.unet, model, f"{UNET}.weight")
    before = weight(memory, memory.unet, checkpoint.model, f"{UNET}.weight")
    assert before.isfinite().all()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MissingFile):
        load_lora(tmp_path / "none.safetensors")
