"""Frozen weights in float8 and in main memory: what they come to, what is kept of them, and that nothing else notices."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.diffusion.adapters.saving import Style, write_lora
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.frozen import FP8, bring_for_use, frozen_network
from engine.diffusion.training.networks import shared_copy
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Word, whole_recipe, word_recipe
from engine.diffusion.training.result import lora_of
from engine.diffusion.training.state import check_same
from engine.diffusion.weights_file import read_header
from engine.errors import InvalidInput
from engine.values.model import Change
from engine.values.training import Adapter, Objective, Optimizer, Plan, TrainingState
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.test_trainer import assert_same

CPU = torch.device("cpu")


class Network(nn.Module):
    """A matrix and a convolution where networks have theirs, after a layer that is left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(2, 2, 1)
        self.mid_block = nn.ModuleDict({"matrix": nn.Linear(2, 2, bias=False), "convolution": nn.Conv2d(2, 1, 2, stride=2)})
        self.requires_grad_(False)


class Changed:
    """A patch that changes every weight."""

    def __init__(self, names: list[str], change: Change) -> None:
        self.key: Hashable = ("changed", id(change))
        self._changes = dict.fromkeys(names, change)

    def changes(self) -> Mapping[str, Change]:
        return self._changes


def rounded(weight: Tensor) -> Tensor:
    return weight.to(FP8).float()


def in_float8(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.dtype == FP8}


def test_a_layer_computes_with_the_nearest_numbers_of_three_bits():
    """0.3 becomes 1.25 / 4, 0.05 becomes 1.625 / 32, and 0.001 half of the smallest step, 2^-9, which is rounded to even."""
    network = Network()
    network.mid_block["matrix"].weight.data = torch.tensor([[0.3, -0.05], [0.001, 2.0]]).to(FP8)
    network.mid_block["convolution"].weight.data = torch.full((1, 2, 2, 2), 0.3).to(FP8)
    bring_for_use(network)
    x = torch.tensor([[1.0, 4.0]], requires_grad=True)
    y = network.mid_block["matrix"](x)
    assert y.tolist() == [[0.3125 - 4 * 0.05078125, 0.001953125 + 8.0]]
    y.sum().backward()
    assert x.grad.tolist() == [[0.3125 + 0.001953125, 2.0 - 0.05078125]]
    picture = torch.ones(1, 2, 4, 4, requires_grad=True)
    (network.mid_block["convolution"](picture) - network.mid_block["convolution"].bias).sum().backward()
    assert (picture.grad == 0.3125).all()


def test_frozen_weights_take_a_quarter_and_autograd_keeps_no_other_form_of_them(checkpoint, memory, pictures):
    held, kept = {}, {}
    for small in (False, True):
        with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, recipe(fp8_base=small)) as trainer:
            parameters = dict(trainer._networks.unet.named_parameters())
            held[small] = sum(parameter.nbytes for parameter in parameters.values() if not parameter.requires_grad)
            kept[small] = trainer._activations(8)
    left = {name for name, parameter in parameters.items() if parameter.dtype != FP8 and parameter.ndim > 1}
    assert 0.25 < held[True] / held[False] < 0.28
    assert all("lora_" in name or name.startswith(("conv_in", "conv_out", "time_embedding")) for name in left)
    assert kept[True].plain <= kept[False].plain and kept[True].frugal <= kept[False].frugal


@pytest.mark.parametrize(
    ("adapter", "checkpointing"),
    [
        (Adapter(rank=4, conv_rank=2, norms=True), False), (Adapter(rank=4, conv_rank=2), True), (Adapter(kind="loha", rank=2), False),
        (Adapter(kind="lokr", rank=2, factor=4), False),
    ],
    ids=["lora", "checkpointed", "loha", "lokr"],
)  # fmt: skip
def test_it_trains_bit_for_bit_as_on_a_model_of_rounded_weights(checkpoint, run, adapter, checkpointing):
    names = in_float8(frozen_network(checkpoint.model, torch.float32, CPU, fp8=True))
    model = checkpoint.model.with_patches(Changed(sorted(names), rounded))
    settings = recipe(adapter, optimizer=Optimizer(rate=1e-3, schedule="constant", warmup=0), checkpointing=checkpointing)
    wanted = run(settings, 2, model=model)
    state = run(settings.model_copy(update={"fp8_base": True}), 2)
    assert_same(state, TrainingState(wanted.tensors, {**wanted.record, "recipe": {**wanted.record["recipe"], "fp8_base": True}}))
    assert state.record["curve"] != run(settings, 2).record["curve"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_it_goes_with_other_number_formats(checkpoint, memory, pictures, precision):
    losses = []
    for own in (memory, Memory(choose("cpu", precision))):
        with open_trainer(own, checkpoint.model, checkpoint.clip, pictures, recipe(fp8_base=True)) as trainer:
            step = trainer.advance()
            losses.append(step.loss)
            assert step.gradient > 0
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_four_steps_are_two_a_stop_and_two(run):
    settings = recipe(
        Adapter(rank=4, conv_rank=2, text_encoder=True, dropout=0.1, rank_dropout=0.1, module_dropout=0.1),
        Objective(weighting="min_snr"),
        Optimizer(rate=1e-3, text_rate=1e-4, ema=0.9),
        fp8_base=True,
    )
    assert_same(run(settings, 4), run(settings, 2, 4))


def test_nothing_of_float8_is_in_the_result_or_in_the_loaded_network(checkpoint, memory, run, tmp_path):
    with memory.unet(checkpoint.model) as unet:
        before = {name: parameter.clone() for name, parameter in unet.named_parameters()}
    lora = lora_of(run(recipe(fp8_base=True, steps=1), 1))
    assert {tensor.dtype for tensor in lora.tensors.values()} == {torch.float32}
    assert lora.metadata["ss_fp8_base_unet"] == "True"
    path = tmp_path / "saved.safetensors"
    write_lora(path, lora, Style(dtype="float16"))
    assert {info.dtype for info in read_header(path).tensors.values()} <= {"F16", "F32"}
    with memory.unet(checkpoint.model) as unet:
        after = dict(unet.named_parameters())
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_a_word_and_a_text_encoder_are_learnt_through_it(checkpoint, run, pictures):
    optimizer = Optimizer(rate=1e-2, schedule="constant", warmup=0)
    examples = tuple(replace(example, captions=("a sks",)) for example in pictures.dataset.examples)
    data = replace(pictures, dataset=replace(pictures.dataset, examples=examples))
    word = word_recipe(Word(name="sks", start="red", vectors=1), Objective(), optimizer, Plan(steps=2, batch_size=1, fp8_base=True))
    begun, taught = (run(word, steps, data=data).part("adapter") for steps in (0, 2))
    assert not torch.equal(begun["emb_params"], taught["emb_params"])
    text = recipe(Adapter(kind="oft", unet=False, text_encoder=True), optimizer=Optimizer(text_rate=1e-2), fp8_base=True)
    assert any(tensor.abs().max() > 0 for name, tensor in run(text, 2).part("adapter").items() if "oft_blocks" in name)


@pytest.mark.parametrize("adapter", [Adapter(kind="oft"), Adapter(kind="ia3"), Adapter(kind="full"), Adapter(magnitude=True)])
def test_adapters_that_work_on_the_weights_themselves_are_refused(adapter):
    with pytest.raises(InvalidInput, match=f"fp8_base does not go with {'magnitude' if adapter.magnitude else adapter.kind}"):
        recipe(adapter, fp8_base=True)


def test_what_is_trained_whole_is_not_frozen(run):
    with pytest.raises(InvalidInput, match="fp8_base has no effect"):
        whole_recipe(True, False, Objective(), Optimizer(), Plan(fp8_base=True))
    settings = whole_recipe(False, True, Objective(), Optimizer(text_rate=1e-4), Plan(fp8_base=True, steps=1, batch_size=1))
    assert run(settings, 1).step == 1


def test_a_state_from_before_there_was_the_setting_goes_on_without_it_only(run):
    state = run(recipe(), 1)
    recorded = dict(state.record["recipe"])
    del recorded["fp8_base"]
    old = TrainingState(state.tensors, {**state.record, "recipe": recorded})
    assert_same(run(recipe(), 2, state=old), run(recipe(), 2))
    with pytest.raises(InvalidInput, match="made with fp8_base = False, this training has True"):
        run(recipe(fp8_base=True), 2, state=old)


def test_a_number_that_float8_does_not_have_is_named(checkpoint):
    (name, *_) = sorted(in_float8(frozen_network(checkpoint.model, torch.float32, CPU, fp8=True)))
    for wrong in (500.0, float("nan")):
        model = checkpoint.model.with_patches(Changed([name], lambda weight, wrong=wrong: torch.full_like(weight, wrong)))
        with pytest.raises(InvalidInput, match=f"{name} holds numbers above 448"):
            frozen_network(model, torch.float32, CPU, fp8=True)


def test_copies_share_the_small_weights(checkpoint):
    network = frozen_network(checkpoint.model, torch.bfloat16, CPU, fp8=True)
    copy = shared_copy(network)
    own = dict(network.named_parameters())
    assert all(parameter.data_ptr() == own[name].data_ptr() for name, parameter in copy.named_parameters())
    assert {parameter.dtype for parameter in copy.parameters()} == {FP8, torch.bfloat16}


class Watch(TorchDispatchMode):
    """Follows what is brought from main memory to a device without memory ("meta"), and refuses to compute with both at once.

    brought: how often each weight was, by address; most: how many were there at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.brought: Counter[int] = Counter()
        self.formats: set[torch.dtype] = set()
        self.most = 0
        self._there: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        given = [one for one in tree_leaves((arguments, named)) if isinstance(one, Tensor) and one.ndim]
        if function is torch.ops.aten._to_copy.default and given[0].device.type == "cpu" and result.is_meta:
            self.brought[given[0].data_ptr()] += 1
            self.formats.add(result.dtype)
            self._there = [one for one in self._there if one() is not None] + [weakref.ref(result)]
            self.most = max(self.most, len(self._there))
        else:
            assert len({one.device.type for one in given}) <= 1, function
        return result


META = torch.device("meta")


@pytest.mark.parametrize("fp8", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_weights_in_main_memory_visit_the_device_one_at_a_time(checkpoint, fp8, checkpointing):
    """Forwards, backwards, and once more where activations are computed again; in the format in which they are kept."""
    network = frozen_network(checkpoint.model, torch.float32, META, fp8=fp8, swap=1.0).train()
    if checkpointing:
        network.enable_gradient_checkpointing()
    kept = {parameter.data_ptr(): name for name, parameter in network.named_parameters() if not parameter.is_meta}
    assert kept.keys() and all(network.get_submodule(name.removesuffix(".weight")).weight.is_meta for name in kept.values())
    x = torch.randn(1, 4, 16, 16, device=META, requires_grad=True)
    words = torch.randn(1, 77, checkpoint.model.weights.arguments["cross_attention_dim"], device=META, requires_grad=True)
    with Watch() as watch:
        network(x, torch.ones(1, device=META), encoder_hidden_states=words).sample.sum().backward()
    assert x.grad.shape == x.shape and words.grad.shape == words.shape
    assert watch.most == 1 and watch.formats == {FP8 if fp8 else torch.float32}
    # the way back does not lead through what reads the time; what a block computes again is all that is in it
    often = {name: watch.brought[address] for address, name in kept.items()}
    back = {name: count for name, count in often.items() if "time_emb_proj" not in name}
    again = {name for name, count in back.items() if count == 3}
    assert set(often.values()) == ({1, 2, 3} if checkpointing else {1, 2}) and set(back.values()) <= {2, 3}
    assert bool(again) == checkpointing and all("resnets" in name or "attentions" in name for name in again)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_is_of_numbers(checkpoint, share):
    network = frozen_network(checkpoint.model, torch.float32, META, swap=share)
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters() if parameter.ndim > 1 and "block" in name}
    kept = {name for name, parameter in network.named_parameters() if not parameter.is_meta}
    assert kept <= sizes.keys()
    largest = max(sizes.values()) / sum(sizes.values())
    assert 0 <= sum(sizes[name] for name in kept) / sum(sizes.values()) - share <= largest * (0 < share < 1)


def test_swapping_is_for_frozen_networks_on_a_device_with_memory_of_its_own(run):
    with pytest.raises(InvalidInput, match=r"swap = 0\.5 has no effect on cpu"):
        run(recipe(swap=0.5), 1)
    with pytest.raises(InvalidInput, match="swap does not go with oft"):
        recipe(Adapter(kind="oft"), swap=0.5)
    with pytest.raises(InvalidInput, match="swap has no effect: no weight"):
        whole_recipe(True, False, Objective(), Optimizer(), Plan(swap=0.5))
    check_same(run(recipe(), 0), recipe(swap=0.5))
