"""The loop on small networks of every kind of model: how each is called, what it learns, and that its adapter is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

from engine.diffusion.adapters.reading import modules_of
from engine.diffusion.adapters.saving import Style, write_lora
from engine.diffusion.adapters.targets import Network, targets
from engine.diffusion.families import ADAPTERS
from engine.diffusion.memory import Memory
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.result import lora_of
from engine.errors import InvalidInput
from engine.values.dataset import CaptionPolicy
from engine.values.model import Model
from engine.values.training import Adapter, Objective, Optimizer
from engine.values.weights import Weights
from tests.diffusion.adapters.networks import SMALL_FLUX, SMALL_SD3, SMALL_SDXL
from tests.diffusion.adapters.random_lora import delta
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import encoded, random_set
from tests.diffusion.training.test_trainer import assert_same

BUILT: dict[str, tuple[str, Any, dict[str, Any], int]] = {
    "sdxl": ("unet", UNet2DConditionModel, {**SMALL_SDXL, "in_channels": 4}, 32),
    "sd3": ("transformer", SD3Transformer2DModel, {**SMALL_SD3, "in_channels": 16}, 16),
    "flux": ("transformer", FluxTransformer2DModel, {**SMALL_FLUX, "in_channels": 64}, 16),
}
"""Part, class, configuration and width of the text."""


class Given(Memory):
    """Holds one network, in place of a checkpoint's."""

    def __init__(self, memory: Memory, network: nn.Module) -> None:
        super().__init__(memory.numerics)
        self.network = network

    @contextmanager
    def unet(self, model: Model) -> Iterator[Any]:
        yield self.network


class Studio:
    def __init__(self, family: str, memory: Memory, folder: Any) -> None:
        part, kind, config, width = BUILT[family]
        torch.manual_seed(0)
        self.family = family
        self.memory = Given(memory, kind(**config).eval().requires_grad_(False))
        self.model = Model(Weights(family, part, (), "", json.dumps(config, sort_keys=True)))
        data = random_set(folder, 3, policy=CaptionPolicy(), flip=False, family=family)
        self.data = encoded(data, folder, width)

    @contextmanager
    def trainer(self, **settings: Any) -> Iterator[Any]:
        wanted = {"optimizer": Optimizer(rate=5e-3, schedule="constant", warmup=0), **settings}
        with open_trainer(self.memory, self.model, None, self.data, recipe(**wanted)) as trainer:
            yield trainer


@pytest.fixture(params=BUILT)
def studio(request, memory, tmp_path) -> Studio:
    return Studio(request.param, memory, tmp_path)


def called(studio: Studio, network: Any, x: Tensor, timestep: Tensor, batch: Any) -> Tensor:
    """The network's output as diffusers' own pipelines and training scripts ask for it."""
    if studio.family == "sdxl":
        ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]])
        return network(x, timestep, batch.context, added_cond_kwargs={"text_embeds": batch.pooled, "time_ids": ids}).sample
    if studio.family == "sd3":
        return network(x, timestep=timestep, encoder_hidden_states=batch.context, pooled_projections=batch.pooled).sample
    height, width = x.shape[2:]
    output = network(
        FluxPipeline._pack_latents(x, *x.shape),
        timestep=timestep / 1000,
        encoder_hidden_states=batch.context,
        pooled_projections=batch.pooled,
        img_ids=FluxPipeline._prepare_latent_image_ids(1, height // 2, width // 2, "cpu", torch.float32),
        txt_ids=torch.zeros(batch.context.shape[1], 3),
        guidance=torch.ones(1),
    ).sample
    return FluxPipeline._unpack_latents(output, height * 8, width * 8, 8)


@torch.no_grad()
def predicted(trainer: Any, x: Tensor, timestep: Tensor) -> Tensor:
    """For the texts and sizes of the first batch."""
    networks = trainer._networks
    return networks.kind.call(networks.unet, x, trainer._told(timestep, trainer._data.batch(0), slice(None), False))


def test_the_network_is_called_and_told_what_its_kind_takes(studio):
    """The loss of one picture is that of the objective written out."""
    with studio.trainer() as trainer:
        batch = next(batch for number in range(9) if (batch := trainer._data.batch(number)).target_size.tolist() == [[64, 64]])
        noised = trainer._task.noised(batch.latents, torch.Generator().manual_seed(7), torch.tensor([0.3]))
        found = trainer._losses(batch, noised, slice(None), reading=False)
        noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(7))
        if studio.family == "sdxl":
            alpha = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)[300].float()
            x, target, timestep = alpha.sqrt() * batch.latents + (1 - alpha).sqrt() * noise, noise, torch.tensor([300.0])
        else:
            shift = 3.0 if studio.family == "sd3" else torch.tensor(1.15).exp().item()
            sigma = shift * 0.3 / (1 + (shift - 1) * 0.3)
            x, target, timestep = (1 - sigma) * batch.latents + sigma * noise, noise - batch.latents, torch.tensor([1000 * sigma])
        with torch.no_grad():
            output = called(studio, studio.memory.network, x, timestep, batch)
    assert torch.allclose(found.detach(), ((output - target) ** 2).mean(dim=(1, 2, 3)), rtol=1e-4)


def test_it_learns_and_the_saved_adapter_is_what_was_trained(studio, tmp_path):
    with studio.trainer(adapter=Adapter(rank=4, alpha=2)) as trainer:
        before = trainer.fixed_loss()
        for _ in range(40):
            trainer.advance()
        assert trainer.fixed_loss() < 0.97 * before
        x = torch.randn(trainer._data.batch(0).latents.shape, generator=torch.Generator().manual_seed(1))
        told = torch.tensor([500.0 if studio.family != "flux" else 0.5])
        trained = trainer._networks.unet.eval()
        wanted = predicted(trainer, x, told)
        lora = lora_of(trainer.state())
        changed = {target.path for target in targets(Network.loaded(studio.memory.network, studio.model.weights))}
        trained.train()
    path = tmp_path / "saved.safetensors"
    write_lora(path, lora, Style(dtype="float32"))
    parts, unused = modules_of(lora, ADAPTERS[studio.family])
    (modules,) = parts.values()
    assert unused == () and modules.keys() == changed
    with torch.no_grad():
        for name, module in studio.memory.network.named_modules():
            if name in modules:
                module.weight += delta(modules[name]).reshape(module.weight.shape)
        with studio.trainer() as merged:
            assert torch.allclose(predicted(merged, x, told), wanted, atol=1e-4)


def test_it_goes_on_exactly(studio):
    def state(*stops: int) -> Any:
        kept = None
        for stop in stops:
            with studio.trainer(objective=Objective(stratified=True), checkpointing=True, accumulation=2) as trainer:
                if kept is not None:
                    trainer.load(kept)
                while trainer.step < stop:
                    trainer.advance()
                kept = trainer.state()
        return kept

    assert_same(state(4), state(2, 4))


def test_captions_encoded_without_what_the_network_reads_are_refused(studio):
    with studio.trainer() as trainer:
        read = trainer._data._entry
        trainer._data._entry = lambda path: {name: tensor for name, tensor in read(path).items() if name != "pooled"}
        with pytest.raises(InvalidInput, match="pooled text"):
            trainer.advance()


def test_another_number_of_channels_is_refused(studio):
    weights = studio.model.weights
    config = {**weights.arguments, "in_channels": 2 * weights.arguments["in_channels"]}
    studio.model = replace(studio.model, weights=replace(weights, config=json.dumps(config)))
    with pytest.raises(InvalidInput, match="channels where a latent has"), studio.trainer():
        pass
