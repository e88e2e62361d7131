"""The memory manager: what stays loaded, patches that come off exactly, and work that did not fit."""

import threading
from collections.abc import Hashable, Mapping

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.errors import OutOfMemory, is_out_of_memory
from engine.values.model import Change
from tests.diffusion import small_checkpoint

NAME = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
OTHER = "mid_block.resnets.0.conv1.weight"


class Scale:
    """A patch that multiplies two weights."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    @property
    def key(self) -> Hashable:
        return ("scale", self.factor)

    def changes(self) -> Mapping[str, Change]:
        return {name: lambda weight: weight * self.factor for name in (NAME, OTHER)}


class Broken(Scale):
    def changes(self) -> Mapping[str, Change]:
        def fail(weight):
            raise ValueError("no")

        return {NAME: lambda weight: weight + 1, OTHER: fail}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


def parts(memory: Memory) -> list[str]:
    return [weights.part for weights, _ in memory.loaded()]


def weights_of(memory: Memory, model) -> dict[str, torch.Tensor]:
    with memory.unet(model) as unet:
        return {name: tensor.clone() for name, tensor in unet.state_dict().items()}


@pytest.mark.parametrize("precision", ["reference", "fp16", "bf16"])
def test_a_network_runs_in_the_format_asked_for(checkpoint, precision):
    numerics = choose("cpu", precision)
    memory = Memory(numerics)
    with memory.unet(checkpoint.model) as unet, memory.text_encoder(checkpoint.clip) as text, memory.autoencoder(checkpoint.vae) as vae:
        assert {p.dtype for p in unet.parameters()} == {numerics.network}
        assert {p.dtype for p in text.parameters()} == {torch.float32}
        assert {p.dtype for p in vae.parameters()} == {numerics.vae}


def test_a_network_is_loaded_once(checkpoint):
    memory = Memory(choose("cpu", "reference"))
    with memory.unet(checkpoint.model) as first:
        pass
    with memory.unet(checkpoint.model) as second:
        assert second is first


def test_the_longest_unused_network_goes_first_when_the_budget_is_full(checkpoint):
    sizes = {}
    memory = Memory(choose("cpu", "reference"))
    for use, value in ((memory.unet, checkpoint.model), (memory.text_encoder, checkpoint.clip), (memory.autoencoder, checkpoint.vae)):
        with use(value):
            sizes = {weights.part: size for weights, size in memory.loaded()}
    tight = Memory(choose("cpu", "reference"), budget=sizes["unet"] + sizes["text_encoder"])
    with tight.text_encoder(checkpoint.clip):
        pass
    with tight.unet(checkpoint.model):
        assert parts(tight) == ["text_encoder", "unet"]
    with tight.text_encoder(checkpoint.clip):
        pass
    with tight.autoencoder(checkpoint.vae):
        assert parts(tight) == ["text_encoder", "vae"]


def test_a_network_in_use_stays_however_small_the_budget(checkpoint):
    memory = Memory(choose("cpu", "reference"), budget=0)
    with memory.unet(checkpoint.model):
        with memory.autoencoder(checkpoint.vae):
            assert parts(memory) == ["unet", "vae"]
        memory.free()
        assert parts(memory) == ["unet"]
    memory.free()
    assert parts(memory) == []


def test_patches_are_put_on_and_taken_off_exactly(checkpoint):
    memory = Memory(choose("cpu", "bf16"))
    before = weights_of(memory, checkpoint.model)
    changed = weights_of(memory, checkpoint.model.with_patches(Scale(3.0), Scale(0.1)))
    assert torch.equal(changed[NAME], (before[NAME].float() * 3.0 * 0.1).bfloat16())
    assert {name for name in before if not torch.equal(before[name], changed[name])} == {NAME, OTHER}
    other = weights_of(memory, checkpoint.model.with_patches(Scale(2.0)))
    assert torch.equal(other[NAME], (before[NAME].float() * 2.0).bfloat16())
    after = weights_of(memory, checkpoint.model)
    assert all(torch.equal(before[name].view(torch.int16), after[name].view(torch.int16)) for name in before)
    assert parts(memory) == ["unet"]


def test_a_patch_that_fails_leaves_the_network_as_it_was(checkpoint):
    memory = Memory(choose("cpu", "reference"))
    before = weights_of(memory, checkpoint.model)
    with pytest.raises(ValueError, match="no"):
        weights_of(memory, checkpoint.model.with_patches(Broken(2.0)))
    after = weights_of(memory, checkpoint.model)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_versions_of_a_network_can_be_in_use_together(checkpoint):
    memory = Memory(choose("cpu", "reference"))
    with memory.unet(checkpoint.model) as plain, memory.unet(checkpoint.model.with_patches(Scale(2.0))) as patched:
        assert plain is not patched
        assert torch.equal(patched.get_parameter(NAME), plain.get_parameter(NAME) * 2)


def test_another_thread_waits_for_the_device(checkpoint):
    memory = Memory(choose("cpu", "reference"))
    order = []

    def other() -> None:
        with memory.autoencoder(checkpoint.vae):
            order.append("other")

    with memory.unet(checkpoint.model):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_weights_in_the_format_of_the_file_are_mapped_not_copied(checkpoint):
    memory = Memory(choose("cpu", "fp16"))
    with memory.unet(checkpoint.model) as unet:
        first, second = list(unet.parameters())[:2]
        assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
        assert first.untyped_storage().nbytes() == checkpoint.model.weights.files[0].size


def no_memory() -> int:
    raise RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"
    )


def test_what_does_not_fit_runs_again_smaller_after_unused_networks_are_dropped(checkpoint):
    memory = Memory(choose("cpu", "reference"))
    with memory.unet(checkpoint.model):
        pass
    seen = []
    assert memory.first_that_fits([no_memory, lambda: seen.append(parts(memory)) or 7], "It") == 7
    assert seen == [[]]


def test_what_never_fits_is_an_error_of_its_own(checkpoint):
    with pytest.raises(OutOfMemory, match="Decoding does not fit"):
        Memory(choose("cpu", "reference")).first_that_fits([no_memory, no_memory], "Decoding")


def test_other_errors_are_not_taken_for_lack_of_memory():
    def broken() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        Memory(choose("cpu", "reference")).first_that_fits([broken, lambda: None], "It")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
