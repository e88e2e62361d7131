"""A model as the sampler calls it, from a file to a picture."""

from dataclasses import replace

import diffusers
import pytest
import torch

from engine.diffusion import vae
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.loading import load_module
from engine.diffusion.memory import Memory
from engine.diffusion.preview import latent_preview
from engine.diffusion.sampling.prediction import prediction_of
from engine.diffusion.sampling.sample import sample
from engine.diffusion.text.encode import encode
from engine.diffusion.unet import diffusion_model
from engine.errors import OutOfMemory
from engine.values.latent import Latent
from tests.diffusion import small_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


def drawn(checkpoint, memory: Memory, seed: int = 1, callback=None) -> Latent:
    positive, negative = encode(memory, checkpoint.clip, "a (red:1.3) circle"), encode(memory, checkpoint.clip, "")
    with diffusion_model(memory, checkpoint.model) as model:
        return sample(
            model,
            positive,
            negative,
            Latent(torch.zeros(1, 4, 8, 8)),
            seed=seed,
            steps=2,
            cfg=5.0,
            sampler_name="euler",
            scheduler="normal",
            callback=callback,
        )


@torch.no_grad()
def test_the_network_is_the_files_unet(checkpoint):
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 77, 64, generator=generator)
    timestep = torch.tensor([999.0, 3.0])
    wanted = load_module(checkpoint.model.weights, torch.float32, torch.device("cpu"))(x, timestep, context).sample
    with diffusion_model(Memory(choose("cpu", "reference")), checkpoint.model) as model:
        torch.testing.assert_close(model.network(x, timestep, context), wanted)


@pytest.mark.parametrize("precision", ["reference", "bf16"])
def test_from_a_prompt_to_a_picture_the_same_every_time(checkpoint, precision):
    first, second = (drawn(checkpoint, Memory(choose("cpu", precision))) for _ in range(2))
    other = drawn(checkpoint, Memory(choose("cpu", precision)), seed=2)
    assert torch.equal(first.samples, second.samples)
    assert not torch.equal(first.samples, other.samples)
    picture = vae.decode(Memory(choose("cpu", precision)), checkpoint.vae, first.samples)
    assert picture.shape == (1, 64, 64, 3)
    assert picture.isfinite().all()


def test_a_step_that_does_not_fit_is_computed_in_halves(checkpoint, monkeypatch):
    memory = Memory(choose("cpu", "reference"))
    wanted = drawn(checkpoint, memory)
    original, sizes = diffusers.UNet2DConditionModel.forward, []

    def run(module, sample, *arguments, **options):
        sizes.append(len(sample))
        if len(sample) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(module, sample, *arguments, **options)

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", run)
    got = drawn(checkpoint, memory)
    assert sizes == [2, 1, 1, 2, 1, 1]
    torch.testing.assert_close(got.samples, wanted.samples, atol=1e-3, rtol=1e-3)


def test_a_step_that_never_fits_is_an_error_of_its_own(checkpoint, monkeypatch):
    memory = Memory(choose("cpu", "reference"))
    sizes = []

    def forward(self, x, *args, **kwargs):
        sizes.append(len(x))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", forward)
    with pytest.raises(OutOfMemory, match=r"One step of the U-Net does not fit"):
        drawn(checkpoint, memory)
    assert sizes == [2, 1]  # guidance's two halves together, then one by one


def test_both_prompts_share_a_call_where_memory_is_left_and_take_turns_where_it_is_not(checkpoint, monkeypatch):
    memory, sizes = Memory(choose("cpu", "reference")), []
    original = diffusers.UNet2DConditionModel.forward

    def run(module, sample, *arguments, **options):
        sizes.append(len(sample))
        return original(module, sample, *arguments, **options)

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", run)
    together = drawn(checkpoint, memory)
    monkeypatch.setattr(memory, "available", lambda: 0)
    apart = drawn(checkpoint, memory)
    assert sizes == [2, 2, 1, 1, 1, 1]
    torch.testing.assert_close(apart.samples, together.samples, atol=1e-3, rtol=1e-3)


def test_an_option_changes_what_the_output_is_taken_for(checkpoint):
    model = checkpoint.model.with_options(prediction=prediction_of("v"))
    memory = Memory(choose("cpu", "reference"))
    with diffusion_model(memory, model) as changed, diffusion_model(memory, checkpoint.model) as plain:
        assert changed.prediction is prediction_of("v")
        assert plain.prediction is prediction_of("eps")


def test_previews_follow_the_files_own_colours(checkpoint):
    pictures = []
    drawn(
        checkpoint,
        Memory(choose("cpu", "reference")),
        callback=lambda step, total, x, denoised: pictures.append(latent_preview(checkpoint.model, denoised)),
    )
    assert [picture.size for picture in pictures] == [(8, 8), (8, 8)]
    red = replace(checkpoint.model, latent_rgb=((0.0,) * 3,) * 4 + ((1.0, -1.0, 0.0),))
    picture = latent_preview(red, torch.randn(2, 4, 6, 5))
    assert picture.size == (5, 6)
    assert set(picture.get_flattened_data() if hasattr(picture, "get_flattened_data") else picture.getdata()) == {(255, 0, 127)}
