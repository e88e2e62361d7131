"""torch.compile with the backend "eager", which traces and compiles nothing, on a network of one layer."""

import torch
from torch import Tensor, nn

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.compilation import Compiled
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from tests.diffusion import small_checkpoint


class Network(nn.Module):
    """Counts its runs in Python, which a compiled network does not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.plain_runs = 0

    def forward(self, x: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        if not torch.compiler.is_compiling():
            self.plain_runs += 1
        return (self.layer(x) * timestep.view(-1, 1, 1, 1) + encoder_hidden_states.mean(),)


def call(run, size: int) -> Tensor:
    x = torch.randn(2, 4, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return run(x, torch.ones(2), encoder_hidden_states=torch.ones(2, 3, 4), return_dict=False)[0]


def test_each_shape_is_compiled_once_and_told_before():
    network, told = Network(), []
    compiled = Compiled(network, "eager")

    def run(*args, **kwargs):
        return compiled(told.append, *args, **kwargs)

    for size in (8, 8, 16, 8):
        torch.testing.assert_close(call(run, size), call(network, size))
    assert ["2 x 4 x 8 x 8" in told[0], "2 x 4 x 16 x 16" in told[1], len(told)] == [True, True, 2]
    runs = network.plain_runs
    call(run, 8)
    assert network.plain_runs == runs


def test_changed_weights_and_hooks_are_heeded():
    network = Network()
    compiled = Compiled(network, "eager")

    def run(*args, **kwargs):
        return compiled(lambda text: None, *args, **kwargs)

    call(run, 8)
    network.layer.weight.data = network.layer.weight.data * 2  # as a patch is put on
    torch.testing.assert_close(call(run, 8), call(network, 8))
    hook = network.layer.register_forward_hook(lambda module, args, output: output * 0)
    assert call(run, 8).eq(1).all()
    hook.remove()
    torch.testing.assert_close(call(run, 8), call(network, 8))
    assert not call(run, 8).eq(1).all()


def test_the_compiled_form_is_kept_with_the_loaded_network(tmp_path):
    memory = Memory(choose("cpu", "reference"))
    model = load_checkpoint(small_checkpoint.write(tmp_path / "small.safetensors")).model
    with memory.unet(model) as unet:
        first = memory.compiled(unet, "eager")
    with memory.unet(model) as unet:
        assert memory.compiled(unet, "eager") is first
    memory.free()
    with memory.unet(model) as unet:
        assert memory.compiled(unet, "eager") is not first
