"""Pictures to latents and back, compared with diffusers' module called by hand."""

import pytest
import torch
from diffusers import AutoencoderKL

from engine.diffusion import vae
from engine.diffusion.checkpoints import load_checkpoint, load_vae
from engine.diffusion.devices import choose
from engine.diffusion.loading import load_module
from engine.diffusion.memory import Memory
from engine.errors import InvalidInput, ModelFormatError, NodeFailed, OutOfMemory
from tests.diffusion import small_checkpoint


@pytest.fixture(scope="module")
def value(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors")).vae


@pytest.fixture(scope="module")
def module(value):
    return load_module(value.weights, torch.float32, torch.device("cpu"))


@pytest.fixture
def memory():
    return Memory(choose("cpu", "reference"))


def picture(height: int, width: int, batch: int = 1, channels: int = 3) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def test_encoding_takes_the_mean_of_the_posterior(value, module, memory):
    pixels = picture(32, 48, batch=2)
    wanted = module.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mean
    got = vae.encode(memory, value, pixels)
    assert got.shape == (2, 4, 4, 6)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_decoding_gives_pictures_between_0_and_1(value, module, memory):
    latent = torch.randn(2, 4, 4, 6, generator=torch.Generator().manual_seed(5))
    wanted = (module.decode(latent).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    got = vae.decode(memory, value, latent)
    assert got.shape == (2, 32, 48, 3) and got.dtype == torch.float32 and got.is_contiguous()
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_sides_are_cut_evenly_to_multiples_of_8_and_alpha_is_ignored(value, memory):
    large = picture(37, 45, channels=4)
    assert torch.equal(vae.encode(memory, value, large), vae.encode(memory, value, large[:, 2:34, 2:42, :3]))


@pytest.mark.parametrize("shape", [(1, 7, 64, 3), (1, 64, 7, 3), (1, 64, 64), (1, 64, 64, 1), (0, 64, 64, 3)])
def test_what_is_no_picture_is_refused(value, memory, shape):
    with pytest.raises(InvalidInput):
        vae.encode(memory, value, torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (4, 8, 8), (1, 4, 0, 8), (0, 4, 8, 8)])
def test_what_is_no_latent_of_this_vae_is_refused(value, memory, shape):
    with pytest.raises(InvalidInput):
        vae.decode(memory, value, torch.zeros(shape))


class Smaller:
    """Lets a module's method run out of memory for inputs above a size."""

    def __init__(self, monkeypatch, method: str, limit: int) -> None:
        import diffusers

        original = getattr(diffusers.AutoencoderKL, method)
        self.sizes: list[tuple[int, int]] = []

        def run(module, x, *arguments, **options):
            if x.shape[-1] * x.shape[-2] > limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.sizes.append(tuple(x.shape[-2:]))
            return original(module, x, *arguments, **options)

        monkeypatch.setattr(diffusers.AutoencoderKL, method, run)
        monkeypatch.setattr(vae, "TILES", (8,))


def test_decoding_that_does_not_fit_is_done_in_tiles(value, memory, monkeypatch):
    log = Smaller(monkeypatch, "decode", 8 * 8)
    tiled = vae.decode(memory, value, torch.randn(1, 4, 9, 10, generator=torch.Generator().manual_seed(2)))
    assert {(8, 8), (4, 10), (9, 4)} <= set(log.sizes)
    assert tiled.shape == (1, 72, 80, 3)
    assert tiled.isfinite().all() and tiled.std() > 0.05


def test_encoding_that_does_not_fit_is_done_in_tiles(value, memory, monkeypatch):
    log = Smaller(monkeypatch, "encode", 64 * 64)
    tiled = vae.encode(memory, value, picture(72, 80))
    assert {(64, 64), (32, 80), (72, 32)} <= set(log.sizes)
    assert tiled.shape == (1, 4, 9, 10)
    assert tiled.isfinite().all() and tiled.std() > 0.05


def test_decoding_that_never_fits_is_an_error_of_its_own(value, memory, monkeypatch):
    Smaller(monkeypatch, "decode", 10)
    with pytest.raises(OutOfMemory, match="Decoding the picture"):
        vae.decode(memory, value, torch.zeros(1, 4, 8, 8))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_latent_that_is_not_finite_is_refused(value, memory, number):
    samples = torch.zeros(1, 4, 4, 4)
    samples[0, 1, 2, 3] = number
    with pytest.raises(InvalidInput, match="not finite"):
        vae.decode(memory, value, samples)


def test_a_vae_that_overflows_is_an_error_and_no_black_picture(value, memory, monkeypatch):
    monkeypatch.setattr(AutoencoderKL, "decode", lambda module, latent, return_dict: (torch.full((1, 3, 32, 32), float("nan")),))
    with pytest.raises(NodeFailed, match="would be black") as caught:
        vae.decode(memory, value, torch.zeros(1, 4, 4, 4))
    assert "--precision fp32" in caught.value.hint


@pytest.mark.parametrize("naming", ["checkpoint", "own file", "diffusers"])
def test_a_vae_of_a_file_of_its_own_is_the_checkpoint_s(value, module, memory, tmp_path, naming):
    found = {"checkpoint": small_checkpoint.tensors()}
    prefix = "first_stage_model."
    found["own file"] = {name.removeprefix(prefix): tensor for name, tensor in found["checkpoint"].items() if name.startswith(prefix)}
    found["diffusers"] = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    single = load_vae(small_checkpoint.write(tmp_path / "vae.safetensors", found[naming]))
    samples = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(vae.decode(memory, single, samples), vae.decode(memory, value, samples))


def test_a_file_without_a_vae_says_so(tmp_path):
    path = small_checkpoint.write(tmp_path / "lora.safetensors", {"lora_unet_x.lora_up.weight": torch.zeros(4, 4)})
    with pytest.raises(ModelFormatError, match=r"lora\.safetensors holds no autoencoder"):
        load_vae(path)
