"""Tools on LoRAs against the plain sums and singular values of whole matrices."""

import pytest
import torch
from torch import Tensor

from engine.diffusion.adapters.inspecting import blocks, essentials
from engine.diffusion.adapters.layouts import kohya
from engine.diffusion.adapters.lora import apply_lora
from engine.diffusion.adapters.reading import modules_of
from engine.diffusion.adapters.svd import Keep
from engine.diffusion.adapters.tools import extract, merge, resize
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.families import ADAPTERS
from engine.diffusion.patched import patched_tensors
from engine.errors import InvalidInput
from engine.values.lora import Lora
from tests.diffusion import small_checkpoint
from tests.diffusion.adapters.random_lora import delta

SD15 = ADAPTERS["sd15"]
LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.1.resnets.0.conv2"
TEXT = "encoder.layers.0.self_attn.q_proj"


def lora(seed: int, rank: int = 4, alpha: float = 3.0) -> Lora:
    """On a matrix and a 3x3 convolution of the U-Net and a matrix of the text encoder."""
    generator = torch.Generator().manual_seed(seed)

    def module(*shape: int) -> dict[str, Tensor]:
        up = torch.randn(shape[0], rank, *[1] * (len(shape) - 2), generator=generator)
        return {"up": up, "down": torch.randn(rank, *shape[1:], generator=generator), "alpha": torch.tensor(alpha)}

    parts = {"unet": {LINEAR: module(64, 64), CONV: module(64, 64, 3, 3)}, "text_encoder": {TEXT: module(64, 64)}}
    return Lora(kohya.write(parts, SD15), {"ss_base_model_version": "sd_v1"})


def loha(seed: int) -> Lora:
    generator = torch.Generator().manual_seed(seed)
    roles = {"hada_w1_a": (64, 2), "hada_w1_b": (2, 64), "hada_w2_a": (64, 2), "hada_w2_b": (2, 64)}
    name = "lora_unet_" + LINEAR.replace(".", "_")
    return Lora({f"{name}.{role}": torch.randn(shape, generator=generator) for role, shape in roles.items()})


def changes(value: Lora) -> dict[str, Tensor]:
    parts, unused = modules_of(value, SD15)
    assert unused == ()
    return {path: delta(tensors) for modules in parts.values() for path, tensors in modules.items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


def test_resizing_keeps_the_largest_singular_values_and_says_what_is_lost():
    before, made = changes(lora(1, rank=8)), resize(lora(1, rank=8), Keep(3))
    lost = total = 0.0
    for path, change in changes(made.lora).items():
        u, s, v = torch.linalg.svd(before[path])
        torch.testing.assert_close(change, u[:, :3] * s[:3] @ v[:3], atol=1e-4, rtol=1e-4)
        lost, total = lost + float((s[3:] ** 2).sum()), total + float((s**2).sum())
    assert made.report.error == pytest.approx((lost / total) ** 0.5, rel=1e-4)
    assert set(made.report.ranks) == {3} and "Frobenius" in made.report.told()


def test_a_rank_that_is_no_smaller_changes_nothing():
    made = resize(lora(1), Keep(64))
    assert made.report.error < 1e-6
    for path, change in changes(lora(1)).items():
        torch.testing.assert_close(changes(made.lora)[path], change, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("keep", "count"),
    [
        (Keep(64, by="sv_ratio", value=4.0), lambda s: (s > s[0] / 4).sum()),
        (Keep(64, by="sv_cumulative", value=0.7), lambda s: (s.cumsum(0) / s.sum() < 0.7).sum() + 1),
        (Keep(64, by="sv_fro", value=0.9), lambda s: ((s**2).cumsum(0) / (s**2).sum() < 0.81).sum() + 1),
        (Keep(2, conv_rank=5), None),
    ],
    ids=["sv_ratio", "sv_cumulative", "sv_fro", "conv_rank"],
)
def test_how_many_values_stay(keep, count):
    before = changes(lora(2, rank=8))
    for path, tensors in modules_of(resize(lora(2, rank=8), keep).lora, SD15)[0]["unet"].items():
        values = torch.linalg.svdvals(before[path])[:8]
        assert len(tensors["down"]) == (int(count(values)) if count else {LINEAR: 2, CONV: 5}[path])


def test_sv_fro_keeps_the_share_that_it_is_asked_for():
    assert resize(lora(3, rank=16), Keep(64, by="sv_fro", value=0.9)).report.error <= (1 - 0.81) ** 0.5


def test_an_adapter_of_another_kind_becomes_a_lora():
    made = resize(loha(1), Keep(4))  # a product of two of rank 2 has rank 4
    assert made.report.error < 1e-5
    tensors = {name.rpartition(".")[2]: tensor.double() for name, tensor in loha(1).tensors.items()}
    wanted = (tensors["hada_w1_a"] @ tensors["hada_w1_b"]) * (tensors["hada_w2_a"] @ tensors["hada_w2_b"])
    torch.testing.assert_close(changes(made.lora)[LINEAR], wanted, atol=1e-4, rtol=1e-4)


def test_merging_exactly_adds_up():
    made = merge([lora(1), lora(2, rank=2, alpha=1.0)], [0.5, -2.0])
    first, second = changes(lora(1)), changes(lora(2, rank=2, alpha=1.0))
    for path, change in changes(made.lora).items():
        torch.testing.assert_close(change, 0.5 * first[path] - 2 * second[path], atol=1e-4, rtol=1e-4)
    assert set(made.report.ranks) == {6} and made.report.error == 0


def test_merging_kinds_gives_the_whole_difference():
    made = merge([lora(1), loha(1)], [1.0, 1.0])
    tensors = modules_of(made.lora, SD15)[0]["unet"][LINEAR]
    wanted = changes(lora(1))[LINEAR] + changes(resize(loha(1), Keep(4)).lora)[LINEAR]
    torch.testing.assert_close(tensors["diff"].double(), wanted, atol=1e-4, rtol=1e-4)


def test_merging_to_a_rank_is_the_nearest_of_that_rank():
    made = merge([lora(1), lora(2)], [1.0, 1.0], Keep(5))
    for path, change in changes(made.lora).items():
        u, s, v = torch.linalg.svd(changes(lora(1))[path] + changes(lora(2))[path])
        torch.testing.assert_close(change, u[:, :5] * s[:5] @ v[:5], atol=1e-4, rtol=1e-4)


def test_loras_of_different_families_are_not_merged():
    other = Lora({"lora_unet_double_blocks_0_img_attn_proj.lora_up.weight": torch.ones(8, 1)})
    with pytest.raises(InvalidInput, match="different models"):
        merge([lora(1), other], [1.0, 1.0])


def test_extracting_finds_the_lora_that_was_put_on(checkpoint):
    wanted = lora(5)
    model, clip, _ = apply_lora(checkpoint.model, checkpoint.clip, wanted, 1.0, 1.0)
    made = extract([model, clip], [checkpoint.model, checkpoint.clip], Keep(4))
    assert made.report.error < 1e-4
    found = changes(made.lora)
    assert found.keys() == changes(wanted).keys()
    for path, change in changes(wanted).items():
        assert (found[path] - change).norm() < 1e-4 * change.norm()


def test_extracting_makes_a_lora_of_any_adapter(checkpoint):
    """Also of one whose change depends on the weight, which no other tool can turn into a LoRA."""
    name = "lora_unet_" + LINEAR.replace(".", "_")
    adapter = Lora({f"{name}.weight": torch.linspace(-0.5, 0.5, 64), f"{name}.on_input": torch.tensor(True)})
    model = apply_lora(checkpoint.model, None, adapter, 1.0, 0).model
    made = extract([model], [checkpoint.model], Keep(64))
    base = dict(patched_tensors(checkpoint.model.weights, (), {f"{LINEAR}.weight"}))[f"{LINEAR}.weight"].double()
    torch.testing.assert_close(changes(made.lora)[LINEAR], base * torch.linspace(-0.5, 0.5, 64), atol=1e-5, rtol=1e-4)
    with pytest.raises(InvalidInput, match="depends on the model"):
        resize(adapter, Keep(4))


def test_models_that_do_not_differ(checkpoint):
    with pytest.raises(InvalidInput, match="do not differ"):
        extract([checkpoint.model], [checkpoint.model], Keep(4))


def test_what_is_told_of_a_lora():
    value = Lora(
        {**lora(1).tensors, "strange": torch.ones(2)},
        {"ss_base_model_version": "sd_v1", "modelspec.trigger_phrase": "sks shape", "ss_training_comment": "a  test",
         "ss_tag_frequency": '{"10_a": {"red": 3, "blue": 9}}'},
    )  # fmt: skip
    told = essentials(value)
    assert told[0] == "LoRA for Stable Diffusion 1.5"
    assert "unet: 2 modules: LoRA (2); rank 4; alpha 3" in told
    assert {"trigger: sks shape", "training comment: a test", "tags: blue, red"} <= set(told)
    assert any(line.startswith("of no module: 1 tensors such as strange") for line in told)
    rows = {(row.network, row.block): row for row in blocks(value)}
    wanted = changes(lora(1))
    assert rows["unet", "IN04"].modules == 2
    assert rows["unet", "IN04"].norm == pytest.approx(float((wanted[LINEAR].norm() ** 2 + wanted[CONV].norm() ** 2).sqrt()), rel=1e-4)
    assert rows["text_encoder", "encoder.layers.0"].ranks == (4,)
