"""A training that begins with the weights of an adapter: of its own making, in other namings, with other alphas and smaller ranks."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.adapters.layouts import write
from engine.diffusion.adapters.lora import load_lora
from engine.diffusion.adapters.low_rank import difference
from engine.diffusion.adapters.reading import modules_of
from engine.diffusion.adapters.saving import Style, write_lora
from engine.diffusion.families import ADAPTERS
from engine.diffusion.training.result import lora_of
from engine.errors import InvalidInput
from engine.values.lora import Lora
from engine.values.training import Adapter, Optimizer, TrainingState
from tests.diffusion.training.recipes import recipe

QUICK = Optimizer(rate=1e-2, schedule="constant", warmup=0)
SD15 = ADAPTERS["sd15"]


TRAINED: dict[tuple[tuple[str, object], ...], Lora] = {}


def trained(run, **adapter: object) -> Lora:
    """An adapter after two steps; each is trained once."""
    key = tuple(sorted(adapter.items()))
    if key not in TRAINED:
        TRAINED[key] = lora_of(run(recipe(Adapter(**{"rank": 4, "alpha": 4, **adapter}), optimizer=QUICK), 2))  # type: ignore[arg-type]
    return TRAINED[key]


def assert_same_change(lora: Lora, state: TrainingState) -> None:
    """Every module does what it did, up to float32."""
    before, after = (modules_of(value, SD15)[0] for value in (lora, lora_of(state)))
    assert before.keys() == after.keys()
    for part, modules in before.items():
        assert modules.keys() == after[part].keys()
        for path, tensors in modules.items():
            distance, norm = difference(tensors, after[part][path])
            assert distance <= 1e-6 * norm, path


def test_its_own_adapter_is_gone_on_from_bit_for_bit_with_a_new_optimizer(run):
    lora = trained(run)
    again = run(recipe(), 0, start=lora)
    assert again.step == 0
    assert all(torch.equal(tensor, lora.tensors[name]) for name, tensor in again.part("adapter").items())


@pytest.mark.parametrize(
    "adapter",
    [
        {"kind": "loha", "rank": 2, "alpha": 2}, {"kind": "lokr", "rank": 2, "alpha": 1, "factor": 4},
        {"kind": "oft", "rank": 8, "alpha": 8.0, "constraint": 0.5}, {"kind": "ia3", "rank": 16, "alpha": 8.0},
        {"kind": "full", "rank": 16, "alpha": 8.0}, {"magnitude": True}, {"norms": True},
    ],
    ids=lambda adapter: adapter.get("kind", "dora"),
)  # fmt: skip
def test_every_kind_is_gone_on_from(run, adapter):
    lora = trained(run, **adapter)
    again = run(recipe(Adapter(**{"rank": 4, "alpha": 4, **adapter})), 0, start=lora)
    assert all(torch.equal(tensor, lora.tensors[name]) for name, tensor in again.part("adapter").items())


@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_the_naming_does_not_matter(run, layout):
    lora = trained(run)
    parts, _ = modules_of(lora, SD15)
    renamed = Lora(write(layout, parts, SD15).tensors)
    assert_same_change(lora, run(recipe(), 0, start=renamed))


@pytest.mark.parametrize("adapter", [{"alpha": 1}, {"rank": 8, "alpha": 4}, {"rank": 8, "alpha": 4, "rank_stabilised": True}])
def test_another_alpha_and_a_larger_rank_begin_with_the_same_change(run, adapter):
    lora = trained(run)
    settings = recipe(Adapter(**{"rank": 4, "alpha": 4, **adapter}), optimizer=QUICK)
    assert_same_change(lora, run(settings, 0, start=lora))
    moved = run(settings, 2, start=lora).part("adapter")
    ups = [tensor for name, tensor in moved.items() if name.endswith("lora_up.weight")]
    assert all(tensor.flatten(1).abs().amax(0).min() > 0 for tensor in ups)  # also what is new of the rank learns


def test_without_an_alpha_the_scale_is_one(run):
    lora = trained(run, alpha=4)
    plain = Lora({name: tensor for name, tensor in lora.tensors.items() if not name.endswith(".alpha")})
    assert_same_change(lora, run(recipe(Adapter(rank=4, alpha=2)), 0, start=plain))


def test_what_would_be_lost_is_refused_by_name(run):
    lora = trained(run)
    with pytest.raises(InvalidInput, match=r"has rank 4 at .*, this one 2"):
        run(recipe(Adapter(rank=2)), 0, start=lora)
    with pytest.raises(InvalidInput, match="lacks 86 of 278 trained modules"):
        run(recipe(Adapter(rank=4, conv_rank=4)), 0, start=lora)
    with pytest.raises(InvalidInput, match=r"not trained here, in \d+ places such as unet\.down_blocks"):
        run(recipe(Adapter(rank=4, targets="attention")), 0, start=lora)
    with pytest.raises(InvalidInput, match="in 1 places such as odd"):
        run(recipe(), 0, start=Lora({**lora.tensors, "odd": torch.zeros(1)}))
    with pytest.raises(InvalidInput, match=r"dora_scale, which this kind"):
        run(recipe(), 0, start=trained(run, magnitude=True))
    with pytest.raises(InvalidInput, match="which this kind of adapter has not"):
        run(recipe(Adapter(kind="loha", rank=4, alpha=4)), 0, start=lora)
    with pytest.raises(InvalidInput, match=r"alpha = 2, this one 1"):
        run(recipe(Adapter(kind="loha", rank=2, alpha=1)), 0, start=trained(run, kind="loha", rank=2, alpha=2))


def test_a_text_encoder_that_is_not_trained_is_named(run):
    optimizer = Optimizer(rate=1e-2, text_rate=1e-2)
    lora = lora_of(run(recipe(Adapter(rank=4, alpha=4, text_encoder=True), optimizer=optimizer), 1))
    with pytest.raises(InvalidInput, match=r"not trained here, in \d+ places such as text_encoder"):
        run(recipe(), 0, start=lora)
    again = run(recipe(Adapter(rank=4, alpha=4, text_encoder=True), optimizer=optimizer), 0, start=lora)
    assert all(torch.equal(tensor, lora.tensors[name]) for name, tensor in again.part("adapter").items())


def test_norms_are_named_as_lycoris_names_them_and_stand_in_changed_blocks_only(run, tmp_path):
    adapter = Adapter(rank=4, alpha=4, norms=True, ranks="^up_blocks = 0\n^down_blocks = 0")
    lora = lora_of(run(recipe(adapter, optimizer=QUICK), 2))
    norms = {name for name in lora.tensors if name.endswith(("w_norm", "b_norm"))}
    base = "lora_unet_mid_block_attentions_0"
    blocks = (f"{base}_norm", *(f"{base}_transformer_blocks_0_norm{number}" for number in (1, 2, 3)))
    assert norms == {f"{block}.{end}" for block in blocks for end in ("w_norm", "b_norm")}
    assert all(lora.tensors[name].abs().max() > 1e-3 for name in norms)
    write_lora(tmp_path / "a.safetensors", lora, Style(dtype="float32"))
    saved = load_lora(tmp_path / "a.safetensors").tensors
    assert all(torch.equal(saved[name], lora.tensors[name]) for name in norms)


def test_what_does_not_fit_or_is_no_number_is_refused_before_a_step(run):
    lora = trained(run)
    stem = min(lora.tensors).rpartition(".")[0].removesuffix(".lora_down").removesuffix(".lora_up")
    down, up, alpha = (f"{stem}.{role}" for role in ("lora_down.weight", "lora_up.weight", "alpha"))
    first, second = lora.tensors[down], lora.tensors[up]
    wrong = {
        "which do not fit": [{down: torch.tensor(1.0)}, {down: first[:, :3]}, {up: second.flatten()}],
        "not finite": [{down: first * torch.nan}, {alpha: torch.tensor(torch.inf)}],
    }
    for message, changes in wrong.items():
        for change in changes:
            with pytest.raises(InvalidInput, match=message):
                run(recipe(), 0, start=Lora({**lora.tensors, **change}))
