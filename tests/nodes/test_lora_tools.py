"""Tools on LoRAs as nodes."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import InvalidInput
from engine.values.lora import Lora
from nodes.lora_tools import convert_lora, inspect_lora, merge_lora, resize_lora

NAME = "lora_unet_mid_block_attentions_0_proj_in"


def lora(factor: float = 1.0, rank: int = 2) -> Lora:
    generator = torch.Generator().manual_seed(rank)
    tensors = {
        f"{NAME}.lora_up.weight": factor * torch.randn(8, rank, 1, 1, generator=generator),
        f"{NAME}.lora_down.weight": torch.randn(rank, 8, 1, 1, generator=generator),
    }
    return Lora(tensors, {"modelspec.trigger_phrase": "sks shape"})


def test_convert_writes_another_layout_and_keeps_what_it_knows(ctx):
    save_file(dict(lora().tensors), ctx.folders.models / "loras" / "a.safetensors")
    convert_lora(ctx, "a.safetensors", "b", "diffusers", "float32")
    path = "unet.mid_block.attentions.0.proj_in"
    converted = load_file(ctx.folders.resolve("loras", "b.safetensors"))
    assert set(converted) == {f"{path}.lora_A.weight", f"{path}.lora_B.weight"}
    assert torch.equal(converted[f"{path}.lora_A.weight"], lora().tensors[f"{NAME}.lora_down.weight"])
    convert_lora(ctx, "b.safetensors", "c", "kohya", "float32")
    again = load_file(ctx.folders.resolve("loras", "c.safetensors"))
    assert all(torch.equal(again[name], tensor) for name, tensor in lora().tensors.items())


def test_inspect_shows_text_and_a_table(ctx):
    shown = inspect_lora(ctx, lora())
    assert "trigger: sks shape" in shown.ui["text"][0] and shown.value.text == shown.ui["text"][0]
    [row] = shown.ui["table"]
    assert (row["network"], row["block"], row["modules"], row["ranks"]) == ("unet", "MID", 1, (2,)) and row["norm"] > 0


def test_merge_and_resize_tell_how_exact_they_are(ctx):
    merged = merge_lora(ctx, lora(), 1.0, lora_2=lora(rank=3), weight_2=0.5)
    assert merged.report.startswith("1 modules, rank 5; error 0.00%")
    resized = resize_lora(ctx, merged.lora, rank=2)
    assert resized.report.startswith("1 modules, rank 2; error ") and "0.00%" not in resized.report


@pytest.mark.parametrize(("by", "value"), [("sv_ratio", 0.5), ("sv_fro", 0.0), ("sv_cumulative", 1.5), ("rank", 0.9)])
def test_a_threshold_without_meaning_is_refused(ctx, by, value):
    with pytest.raises(InvalidInput, match="keep_value"):
        resize_lora(ctx, lora(), keep_by=by, keep_value=value)
