"""LoRA nodes: files and values on a model."""

import resource
import signal

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.errors import InvalidInput, ModelFormatError, NodeFailed, UnsafePath
from engine.graph import Context
from engine.values.lora import Lora
from nodes.lora import lora_loader, lora_loader_blocks, lora_loader_model_only, lora_model_loader
from nodes.lora_files import save_lora, save_lora_node
from tests.diffusion import small_checkpoint

QUERY = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
UP, DOWN = torch.ones(64, 2), torch.ones(2, 64)


def tensors(path: str = QUERY, prefix: str = "lora_unet_") -> dict[str, torch.Tensor]:
    name = prefix + path.replace(".", "_")
    return {f"{name}.lora_up.weight": UP.clone(), f"{name}.lora_down.weight": DOWN.clone()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "fp32"))


def added(memory, before, after, path: str = QUERY) -> torch.Tensor:
    weights = []
    for model in (before, after):
        with memory.unet(model) as unet:
            weights.append(unet.get_parameter(f"{path}.weight").clone())
    return weights[1] - weights[0]


def listening(ctx: Context) -> tuple[Context, list]:
    heard: list = []
    return Context(folders=ctx.folders, on_emit=lambda name, data: heard.append((name, data))), heard


def test_a_file_and_a_value_do_the_same_and_strengths_may_be_negative(ctx, checkpoint, memory):
    save_file(tensors(), ctx.folders.models / "loras" / "a.safetensors")
    for strength in (1.0, -0.5):
        for chosen in ("a.safetensors", Lora(tensors())):
            for model in (
                lora_loader(ctx, checkpoint.model, checkpoint.clip, chosen, strength, 1.0).model,
                lora_loader_model_only(ctx, checkpoint.model, chosen, strength),
            ):
                torch.testing.assert_close(added(memory, checkpoint.model, model), strength * UP @ DOWN, atol=1e-5, rtol=1e-4)
    model = lora_model_loader(ctx, checkpoint.model, Lora(tensors()), -0.5)
    torch.testing.assert_close(added(memory, checkpoint.model, model), -0.5 * UP @ DOWN, atol=1e-5, rtol=1e-4)


def test_what_belongs_to_nothing_is_a_warning_with_names_and_count(ctx, checkpoint):
    ctx, heard = listening(ctx)
    lora = Lora({**tensors(), **tensors("down_blocks.9.attentions.0.proj_in")})
    lora_loader(ctx, checkpoint.model, checkpoint.clip, lora)
    [(name, data)] = heard
    assert name == "warning" and data["message"].startswith("2 of the LoRA's 4 tensors")
    assert "lora_unet_down_blocks_9_attentions_0_proj_in.lora_up.weight" in data["message"]


def test_the_text_encoder_s_part_is_left_aside_without_a_warning_where_only_a_model_is_given(ctx, checkpoint):
    ctx, heard = listening(ctx)
    lora = Lora({**tensors(), **tensors("text_model.encoder.layers.0.self_attn.q_proj", "lora_te_")})
    lora_model_loader(ctx, checkpoint.model, lora)
    assert heard == []


def test_a_lora_for_something_else_is_an_error(ctx, checkpoint):
    with pytest.raises(ModelFormatError, match="none of its 2 tensors"):
        lora_loader(ctx, checkpoint.model, checkpoint.clip, Lora(tensors("double_blocks.0.img_attn.qkv")))


def test_block_weights(ctx, checkpoint, memory):
    other = "up_blocks.1.attentions.2.transformer_blocks.0.attn2.to_q"  # the 6th output block, of 128 channels here
    wide = {name: torch.ones(128, 1) if "up.weight" in name else torch.ones(1, 128) for name in tensors(other)}
    lora = Lora({**tensors(), **wide})
    seventeen = "1,1,1,0.5,1,1,1,1,1,1,-2,1,1,1,1,1,1"  # the 4th is IN04, the 11th OUT05
    for text in (seventeen, "IN04=0.5\nout05 = -2"):
        model = lora_loader_blocks(ctx, checkpoint.model, checkpoint.clip, lora, 2.0, 1.0, text).model
        torch.testing.assert_close(added(memory, checkpoint.model, model), 2.0 * 0.5 * UP @ DOWN, atol=1e-5, rtol=1e-4)
        assert added(memory, checkpoint.model, model, other).mean().item() == pytest.approx(2.0 * -2.0, rel=1e-4)


@pytest.mark.parametrize("text", ["1,2,3", "IN99=1", "IN04=much", "MID=nan", "MID=1e9", ""])
def test_block_weights_that_cannot_be(ctx, checkpoint, text):
    with pytest.raises(InvalidInput):
        lora_loader_blocks(ctx, checkpoint.model, checkpoint.clip, Lora(tensors()), 1.0, 1.0, text)


def test_fifty_swaps_leave_the_very_weights_and_read_nothing_again(ctx, checkpoint, monkeypatch):
    memory = Memory(choose("cpu", "fp32"))
    with memory.unet(checkpoint.model) as unet:
        before = {name: parameter.clone() for name, parameter in unet.named_parameters()}
        module = unet
    monkeypatch.setattr("engine.diffusion.memory.load_module", lambda *_: pytest.fail("the weights were loaded again"))
    for number in range(50):
        lora = Lora({name: tensor * (number + 1) for name, tensor in tensors().items()})
        with memory.unet(lora_model_loader(ctx, checkpoint.model, lora, 0.37)) as unet:
            assert unet is module
            assert not torch.equal(unet.get_parameter(f"{QUERY}.weight"), before[f"{QUERY}.weight"])
    with memory.unet(checkpoint.model) as unet:
        assert all(torch.equal(parameter, before[name]) for name, parameter in unet.named_parameters())


def test_a_saved_lora_is_found_by_its_name_and_replaces_an_older_one_if_it_shall(ctx, checkpoint, memory):
    for factor in (1.0, 2.0):
        lora = Lora({name: tensor * factor if "up" in name else tensor for name, tensor in tensors().items()})
        shown = save_lora(ctx, lora, name="mine/first", trigger="sks shape", replace=True)
        assert shown.ui["loras"] == [{"name": "mine/first.safetensors"}] and ctx.folders.list("loras") == ("mine/first.safetensors",)
        model = lora_loader_model_only(ctx, checkpoint.model, "mine/first.safetensors", 1.0)
        torch.testing.assert_close(added(memory, checkpoint.model, model), factor * UP @ DOWN, atol=1e-5, rtol=1e-4)


def test_a_file_that_is_there_stays_and_the_new_one_has_a_number(ctx):
    warned = []
    ctx.warn = lambda message, hint="": warned.append(message)
    before = b""
    for number, name in enumerate(("mine", "mine_2", "mine_3")):
        [record] = save_lora(ctx, Lora(tensors()), name="mine.safetensors").ui["loras"]
        assert record == {"name": f"{name}.safetensors"} and len(warned) == number
        before = before or ctx.folders.resolve("loras", "mine.safetensors").read_bytes()
    assert ctx.folders.resolve("loras", "mine.safetensors").read_bytes() == before
    assert warned[0] == "There was a LoRA mine.safetensors already. It stays; the new one is mine_2.safetensors."


@pytest.mark.parametrize("length", [243, 244, 255, 300])
def test_a_name_of_any_length_is_written_or_refused_by_its_type(ctx, length):
    name = "n" * length
    if length == 243:  # 255 bytes with its end
        assert save_lora(ctx, Lora(tensors()), name=name).ui["loras"] == [{"name": f"{name}.safetensors"}]
        return
    with pytest.raises(UnsafePath, match="more than 255"):
        save_lora(ctx, Lora(tensors()), name=name)
    with pytest.raises(UnsafePath, match="more than 255"):
        save_lora_node(ctx, Lora(tensors()), prefix=name)


def test_a_disk_that_fills_up_is_an_error_and_keeps_the_old_file(ctx):
    """The limit of the process on the size of files stands for the end of the disk."""
    save_lora(ctx, Lora(tensors()), name="mine")
    path = ctx.folders.resolve("loras", "mine.safetensors")
    before = path.read_bytes()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
        with pytest.raises(NodeFailed, match="could not be written"):
            save_lora(ctx, Lora(tensors()), name="mine", replace=True)
        with pytest.raises(NodeFailed, match="could not be written"):
            save_lora(ctx, Lora(tensors()), name="mine")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize("name", ["../outside", "/etc/lora", "a/../../b", "con", ""])
def test_a_name_that_leaves_the_folder_is_refused(ctx, name):
    with pytest.raises(UnsafePath):
        save_lora(ctx, Lora(tensors()), name=name)


def test_comfyui_s_saver_writes_a_new_file_each_time(ctx):
    for number in (1, 2):
        [record] = save_lora_node(ctx, Lora(tensors()), steps=30).ui["loras"]
        assert record == {"filename": f"ComfyUI_trained_lora_30_steps_{number:05}_.safetensors", "subfolder": "loras", "type": "output"}
    assert f"{record['filename']}" in ctx.folders.list("loras")
