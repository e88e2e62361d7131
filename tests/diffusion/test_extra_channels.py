"""What inpainting and picture-editing networks read beside the noisy latent."""

import diffusers
import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.extra_channels import GRAY
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.sample import sample
from engine.diffusion.unet import diffusion_model
from engine.values.conditioning import Condition, Conditioning
from engine.values.latent import Latent
from tests.diffusion import small_checkpoint

CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
SCALE = 0.18215


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("models"), {}
    for channels in (8, 9):
        tensors = small_checkpoint.tensors()
        tensors[CONV_IN] = torch.zeros(32, channels, 3, 3, dtype=torch.float16)
        found[channels] = load_checkpoint(small_checkpoint.write(folder / f"{channels}.safetensors", tensors)).model
    return found


@pytest.fixture
def seen(monkeypatch):
    """The channels beyond the noisy latent in each call of the network."""
    original, inputs = diffusers.UNet2DConditionModel.forward, []

    def run(module, x, *arguments, **options):
        inputs.append(x[:, 4:])
        return original(module, x, *arguments, **options)

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", run)
    return inputs


def run(model, latent: Latent, **extras) -> None:
    generator = torch.Generator().manual_seed(0)
    positive, negative = (Conditioning([Condition(torch.randn(1, 77, 64, generator=generator), extras=extras)]) for _ in range(2))
    with diffusion_model(Memory(choose("cpu", "reference")), model) as network:
        sample(network, positive, negative, latent, seed=0, steps=1, cfg=2.0, sampler_name="euler", scheduler="normal")


def mask() -> torch.Tensor:
    found = torch.zeros(1, 1, 64, 64)
    found[..., :36, :] = 1.0
    return found


def test_inpainting_reads_the_runs_own_mask_and_latent(models, seen):
    latent = Latent(torch.randn(1, 4, 8, 8), noise_mask=mask())
    run(models[9], latent)
    (given,) = seen
    assert given.shape == (2, 5, 8, 8)
    assert torch.equal(given[:, 0], torch.tensor([1.0] * 4 + [0.0] * 4)[None, :, None].expand(2, 8, 8))  # 0.5 rounds to 0
    torch.testing.assert_close(given[0, 1:], latent.samples[0] * SCALE)


def test_inpainting_reads_what_the_conditioning_brings(models, seen):
    picture = torch.randn(1, 4, 8, 8)
    run(models[9], Latent(torch.zeros(2, 4, 8, 8)), concat_latent_image=picture, concat_mask=mask()[:, 0])
    (given,) = seen
    assert given.shape == (4, 5, 8, 8)
    torch.testing.assert_close(given[3, 1:], picture[0] * SCALE)
    assert given[:, 0].unique().tolist() == [0.0, 1.0]


def test_inpainting_without_a_mask_draws_all_over_grey(models, seen):
    run(models[9], Latent(torch.zeros(1, 4, 8, 8)))
    assert seen[0][0, :, 3, 3].tolist() == pytest.approx([1.0, *GRAY])


def test_picture_editing_reads_the_picture_unscaled_or_nothing(models, seen):
    picture = torch.randn(1, 4, 8, 8)
    run(models[8], Latent(torch.zeros(1, 4, 8, 8)), concat_latent_image=picture)
    run(models[8], Latent(torch.zeros(1, 4, 8, 8)))
    assert torch.equal(seen[0][1], picture[0])
    assert not seen[1].any()
