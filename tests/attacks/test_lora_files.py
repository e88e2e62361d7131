"""Adapter files made to exhaust, to break or to mislead: each is refused by name, soon, and without the memory it asks for."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.adapters.formulas import merged
from engine.diffusion.adapters.inspecting import blocks, essentials
from engine.diffusion.adapters.lora import apply_lora, load_lora
from engine.diffusion.adapters.svd import Keep
from engine.diffusion.adapters.tools import resize
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.errors import ModelFormatError
from engine.values.lora import Lora
from tests.diffusion import small_checkpoint

PATH = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
NAME = "lora_unet_" + PATH.replace(".", "_")


def adapter(**roles: Tensor) -> dict[str, Tensor]:
    ends = {"up": "lora_up.weight", "down": "lora_down.weight", "mid": "lora_mid.weight", "factors": "weight"}
    return {f"{NAME}.{ends.get(role, role)}": tensor for role, tensor in roles.items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "fp32"))


def put_on(checkpoint, memory, lora: Lora) -> Tensor:
    with memory.unet(apply_lora(checkpoint.model, None, lora, 1.0, 0).model) as unet:
        return unet.get_parameter(f"{PATH}.weight").clone()


WRONG = {
    "NaN": adapter(up=torch.full((64, 2), torch.nan), down=torch.ones(2, 64)),
    "an infinite alpha": adapter(up=torch.ones(64, 2), down=torch.ones(2, 64), alpha=torch.tensor(torch.inf)),
    "an alpha of two numbers": adapter(up=torch.ones(64, 2), down=torch.ones(2, 64), alpha=torch.ones(2)),
    "one matrix alone": adapter(up=torch.ones(64, 2)),
    "another width": adapter(up=torch.ones(64, 2), down=torch.ones(2, 63)),
    "ranks that differ": adapter(up=torch.ones(64, 2), down=torch.ones(3, 64)),
    "a matrix with one dimension": adapter(up=torch.ones(64), down=torch.ones(2, 64)),
    "a matrix with none": adapter(up=torch.tensor(1.0), down=torch.tensor(1.0)),
    "loha of other shapes": adapter(**{f"hada_w{n}_{side}": torch.ones(5, 5) for n in (1, 2) for side in "ab"}),
    "lokr that does not divide": adapter(lokr_w1=torch.ones(7, 7), lokr_w2=torch.ones(9, 9)),
    "half a lokr": adapter(lokr_w1_a=torch.ones(8, 2), lokr_w2=torch.ones(8, 8)),
    "lokr of scalars": adapter(lokr_w1=torch.tensor(1.0), lokr_w2=torch.tensor(1.0)),
    "oft of other blocks": adapter(oft_blocks=torch.ones(3, 7, 7)),
    "oft that is not square": adapter(oft_blocks=torch.ones(8, 8, 4)),
    "boft without end": adapter(oft_blocks=torch.ones(40, 8, 8, 8)),
    "an empty boft": adapter(oft_blocks=torch.ones(1, 64, 1, 1)),
    "factors of another length": adapter(factors=torch.ones(3), on_input=torch.tensor(True)),
    "a difference of other shape": adapter(diff=torch.ones(64, 63)),
    "a magnitude of other shape": adapter(up=torch.ones(64, 2), down=torch.ones(2, 64), dora_scale=torch.ones(64, 7)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_tensors_that_do_not_fit_are_refused_and_leave_the_model_as_it_was(checkpoint, memory, kind):
    with memory.unet(checkpoint.model) as unet:
        before = unet.get_parameter(f"{PATH}.weight").clone()
    with pytest.raises(ModelFormatError, match=r"attn1\.to_q") as caught:
        put_on(checkpoint, memory, Lora(WRONG[kind]))
    assert NAME in caught.value.message
    with memory.unet(checkpoint.model) as unet:
        assert torch.equal(unet.get_parameter(f"{PATH}.weight"), before)


THIN = {
    "two thin matrices": {"up": torch.ones(200_000, 1), "down": torch.ones(1, 200_000)},
    "a thin loha": {f"hada_w{n}_{side}": torch.ones((200_000, 1) if side == "a" else (1, 200_000)) for n in (1, 2) for side in "ab"},
    "a thin lokr": {"lokr_w1": torch.ones(200_000, 1), "lokr_w2": torch.ones(1, 200_000)},
    "a thin factor": {
        "lokr_w1_a": torch.ones(200_000, 1), "lokr_w1_b": torch.ones(1, 200_000), "lokr_w2": torch.ones(1, 1),
    },
    "a middle": {"up": torch.ones(100_000, 1), "down": torch.ones(1, 1), "mid": torch.ones(1, 1, 1000, 1000)},
}  # fmt: skip


@pytest.mark.parametrize("kind", THIN)
def test_thin_tensors_whose_product_would_fill_the_memory(kind):
    """A megabyte in a file that asks for 160 gigabytes."""
    began = time.process_time()
    with pytest.raises(ValueError, match="numbers"):
        merged(torch.ones(64, 64), THIN[kind], 1.0)
    assert time.process_time() - began < 30


@pytest.mark.parametrize("kind", [kind for kind in THIN if kind != "two thin matrices"])  # of these the product is never formed
def test_tools_do_not_form_it_either(kind):
    with pytest.raises(ModelFormatError, match=r"attn1\.to_q"):
        resize(Lora(adapter(**THIN[kind])), Keep(4))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (adapter(up=torch.ones(1, 1_000_000), down=torch.ones(1_000_000, 1)), "rank 1,000,000"),
        (adapter(up=torch.ones(64, 0), down=torch.ones(0, 64)), "is empty"),
        (adapter(up=torch.ones(64, 2), down=torch.ones(2, 64), alpha=torch.ones(3)), "no single number"),
    ],
    ids=["rank", "empty", "alpha"],
)
def test_headers_that_no_adapter_has(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelFormatError, match=message) as caught:
        load_lora(tmp_path / "a.safetensors")
    assert "a.safetensors" in caught.value.message


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({f"{NAME}.alpha": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, "no valid shape"),
        ({f"{NAME}{n}.alpha": {"dtype": "F32", "shape": [], "data_offsets": [4 * n, 4 * n + 4]} for n in range(100_001)},
         "100,001 tensors"),
    ],
    ids=["dimensions below zero", "too many"],
)  # fmt: skip
def test_headers_written_by_hand(tmp_path, entries, message):
    header = json.dumps(entries).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4 * len(entries)))
    with pytest.raises(ModelFormatError, match=message):
        load_lora(tmp_path / "a.safetensors")


def test_names_of_endless_length_and_number_are_read_soon(checkpoint):
    tensors = {f"lora_unet_{'down_blocks_' * 2_000}{number}.lora_up.weight": torch.ones(1, 1) for number in range(200)}
    began = time.process_time()
    with pytest.raises(ModelFormatError) as caught:
        apply_lora(checkpoint.model, None, Lora(tensors), 1.0, 0)
    assert time.process_time() - began < 20 and len(caught.value.message) < 2_000


BOMBS = {
    "nested": {"ss_tag_frequency": "[" * 100_000},
    "numbers without end": {"ss_tag_frequency": '{"a": {"b": 1e999}}'},
    "wrong types": {"ss_tag_frequency": '{"a": [1, 2]}'},
    "many tags": {"ss_tag_frequency": json.dumps({"a": {f"tag {number}": number for number in range(100_000)}})},
    "a long text": {"ss_training_comment": "x" * 5_000_000},
    "lines": {"modelspec.trigger_phrase": "a\n" * 10_000},
}


@pytest.mark.parametrize("kind", BOMBS)
def test_metadata_that_would_fill_a_screen(kind):
    lora = Lora(adapter(up=torch.ones(64, 2), down=torch.ones(2, 64)), {"ss_base_model_version": "sd_v1", **BOMBS[kind]})
    tracemalloc.start()
    told = essentials(lora)
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()
    assert len("\n".join(told)) < 5_000 and len(told) < 20
    assert blocks(lora)[0].block == "IN04"
