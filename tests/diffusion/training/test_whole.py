"""Full fine-tuning: what a bare loop comes to, exact continuation, and a result that is a model."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.adapters.lora import apply_lora
from engine.diffusion.loading import load_module
from engine.diffusion.patched import patched_tensors
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Recipe, whole_recipe
from engine.diffusion.training.result import lora_of
from engine.diffusion.training.streams import stream
from engine.diffusion.training.whole import trained_weights
from engine.errors import InvalidInput
from engine.values.dataset import CaptionPolicy
from engine.values.training import Adapter, Objective, Optimizer, Plan
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import encoded, random_set
from tests.diffusion.training.test_trainer import assert_same

CONSTANT = Optimizer(rate=1e-4, schedule="constant", warmup=0, max_grad_norm=0)


def whole(optimizer: Optimizer = CONSTANT, unet: bool = True, text_encoder: bool = False, **plan: object) -> Recipe:
    return whole_recipe(unet, text_encoder, Objective(), optimizer, Plan(**{"steps": 4, "batch_size": 1, **plan}))  # type: ignore[arg-type]


def test_it_is_what_a_bare_loop_comes_to(checkpoint, memory, tmp_path):
    data = encoded(random_set(tmp_path, 4, policy=CaptionPolicy(), flip=False), tmp_path, 64)
    with open_trainer(memory, checkpoint.model, None, data, whole()) as trainer:
        batches = [trainer._data.batch(step) for step in range(2)]
        noised = [trainer._task.noised(batch.latents, stream(0, "noise", step, 0)) for step, batch in enumerate(batches)]
        for _ in range(2):
            trainer.advance()
        trained = trainer.state().part("adapter")
    unet = load_module(checkpoint.model.weights, torch.float32, torch.device("cpu")).train().requires_grad_(True)
    unet.load_state_dict({name: tensor.clone() for name, tensor in unet.state_dict().items()}, assign=True)
    unet.requires_grad_(True)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4)
    for batch, noise in zip(batches, noised, strict=True):
        optimizer.zero_grad()
        output = unet(noise.x, noise.told, encoder_hidden_states=batch.context, return_dict=False)[0]
        torch.nn.functional.mse_loss(output, noise.target).backward()
        optimizer.step()
    own = unet.state_dict()
    assert {name.removeprefix("unet.") for name in trained} == own.keys()
    before = dict(patched_tensors(checkpoint.model.weights, ()))
    assert all((own[name] != before[name]).any() for name in own)
    for name, tensor in own.items():
        torch.testing.assert_close(trained[f"unet.{name}"], tensor, atol=1e-7, rtol=1e-6)


def test_ten_steps_are_five_a_stop_and_five(run):
    optimizer = Optimizer(rate=1e-4, text_rate=1e-5, ema=0.9, text_share=0.7)
    settings = whole(optimizer, text_encoder=True, steps=10, accumulation=2, validate_every=10)
    assert_same(run(settings, 10), run(settings, 5, 10))


def test_the_result_is_the_network_that_was_trained_and_the_model_stays_as_it_was(checkpoint, memory, pictures):
    x, told = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([500.0])
    words = torch.randn(1, 77, checkpoint.model.weights.arguments["cross_attention_dim"], generator=torch.Generator().manual_seed(2))

    def output(network: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return network(x, told, encoder_hidden_states=words, return_dict=False)[0]

    with memory.unet(checkpoint.model) as unet:
        plain = output(unet)
    settings = whole(Optimizer(rate=1e-3, text_rate=1e-3, schedule="constant", warmup=0), text_encoder=True)
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        assert torch.equal(output(trainer._networks.unet.eval()), plain)
        trainer._networks.unet.train()
        for _ in range(2):
            trainer.advance()
        trained = output(trainer._networks.unet.eval())
        state = trainer.state()
    model = checkpoint.model.with_patches(trained_weights(state, checkpoint.model))
    clip = checkpoint.clip.with_patches(trained_weights(state, checkpoint.clip))
    with memory.unet(model) as unet:
        assert torch.equal(output(unet), trained)
    with memory.unet(checkpoint.model) as unet:
        assert torch.equal(output(unet), plain)
    assert (trained - plain).abs().max() > 1e-3
    changed, before = (dict(patched_tensors(value.weights, value.patches)) for value in (clip, checkpoint.clip))
    assert sum((changed[name] != before[name]).any().item() for name in before) > 0.9 * len(before)


def test_it_begins_with_the_loras_that_are_on_the_model(checkpoint, run):
    lora = lora_of(run(recipe(Adapter(rank=2, alpha=2), optimizer=Optimizer(rate=1e-2)), 2))
    model = apply_lora(checkpoint.model, None, lora, 1.0, 0.0).model
    state = run(whole(), 0, model=model)
    for name, tensor in patched_tensors(model.weights, model.patches):
        assert torch.equal(state.part("adapter")[f"unet.{name}"], tensor), name


def test_modules_with_a_factor_of_0_and_networks_that_are_not_trained_stay(checkpoint, run):
    settings = whole(CONSTANT.model_copy(update={"rates": "^time_embedding = 0", "options": "weight_decay=0.1"}))
    before = dict(patched_tensors(checkpoint.model.weights, ()))
    after = trained_weights(run(settings, 1), checkpoint.model).tensors
    same = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
    assert same == {name for name in before if name.startswith("time_embedding.")}
    only_text = run(whole(Optimizer(text_rate=1e-4), unet=False, text_encoder=True), 1)
    with pytest.raises(InvalidInput, match="no weights of the unet"):
        trained_weights(only_text, checkpoint.model)


@pytest.mark.parametrize(
    ("optimizer", "networks", "named"),
    [
        (Optimizer(up_rate=4), {}, "up_rate"), (Optimizer(rate=0), {}, "at the rate 0"), (Optimizer(text_rate=1e-5), {}, "text_rate"),
        (Optimizer(), {"text_encoder": True}, "text encoder is to be trained at the rate 0"),
    ],
)  # fmt: skip
def test_settings_without_effect_are_refused_by_name(optimizer, networks, named):
    with pytest.raises(InvalidInput, match=named):
        whole(optimizer, **networks)


def test_a_state_of_an_adapter_is_none_of_a_whole_network(run):
    with pytest.raises(InvalidInput, match="made with"):
        run(whole(), 2, state=run(recipe(), 1))
