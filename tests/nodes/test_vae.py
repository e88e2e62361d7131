"""Pictures prepared for inpainting and editing, and encoding in tiles, on a small random VAE."""

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.vae import encode
from engine.graph import Context
from engine.values.conditioning import Condition, Conditioning
from nodes.vae import edit_conditioning, inpaint_conditioning, vae_decode, vae_decode_tiled, vae_encode_for_inpaint, vae_encode_tiled
from tests.diffusion import small_checkpoint


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors")).vae


@pytest.fixture
def ctx():
    return Context(memory=Memory(choose("cpu", "reference")))


def picture(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(5))


def square(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, 16:24, 16:32] = 1
    return mask


def prompt() -> Conditioning:
    return Conditioning([Condition(torch.zeros(1, 77, 64))])


def test_what_is_inpainted_is_encoded_as_grey_and_its_mask_grown(ctx, vae):
    pixels, mask = picture(48, 64), square(48, 64)
    latent = vae_encode_for_inpaint(ctx, pixels, vae, mask, 6)
    grey = torch.where(mask[..., None] > 0, 0.5, pixels)
    torch.testing.assert_close(latent.samples, encode(ctx.memory, vae, grey))
    wanted = torch.zeros(1, 1, 48, 64)
    wanted[..., 14:27, 14:35] = 1  # a square of an even side reaches 2 pixels before the mask and 3 behind it
    assert latent.noise_mask.sum() == 13 * 21 and latent.noise_mask.equal(wanted)
    assert vae_encode_for_inpaint(ctx, pixels, vae, mask, 0).noise_mask.equal(mask[:, None])


def test_a_mask_of_another_size_is_stretched_and_cut_with_the_picture(ctx, vae):
    latent = vae_encode_for_inpaint(ctx, picture(53, 66), vae, torch.ones(1, 10, 10), 0)
    assert latent.samples.shape[-2:] == (6, 8) and latent.noise_mask.shape == (1, 1, 48, 64) and latent.noise_mask.all()


def test_an_inpainting_model_sees_the_rest_of_the_picture_and_the_mask(ctx, vae):
    pixels, mask = picture(48, 64), square(48, 64)
    positive, negative, latent = inpaint_conditioning(ctx, prompt(), prompt(), vae, pixels, mask)
    for side in (positive, negative):
        assert side[0].extras["concat_mask"].equal(mask[:, None])
        grey = torch.where(mask[..., None] > 0, 0.5, pixels)
        torch.testing.assert_close(side[0].extras["concat_latent_image"], encode(ctx.memory, vae, grey))
    torch.testing.assert_close(latent.samples, encode(ctx.memory, vae, pixels))
    assert latent.noise_mask.equal(mask[:, None])
    assert inpaint_conditioning(ctx, prompt(), prompt(), vae, pixels, mask, noise_mask=False).latent.noise_mask is None


def test_an_editing_model_sees_the_picture_and_starts_from_nothing(ctx, vae):
    pixels = picture(48, 64)
    positive, _, latent = edit_conditioning(ctx, prompt(), prompt(), vae, pixels)
    torch.testing.assert_close(positive[0].extras["concat_latent_image"], encode(ctx.memory, vae, pixels))
    assert latent.samples.shape == (1, 4, 6, 8) and not latent.samples.any()


def test_one_tile_that_holds_all_is_the_whole(ctx, vae):
    latent = vae_encode_tiled(ctx, picture(48, 64), vae, tile_size=512)
    torch.testing.assert_close(latent.samples, encode(ctx.memory, vae, picture(48, 64)), atol=1e-5, rtol=1e-4)
    whole = vae_decode(ctx, latent, vae)
    torch.testing.assert_close(vae_decode_tiled(ctx, latent, vae, tile_size=512), whole, atol=1e-5, rtol=1e-4)


def test_tiles_give_about_the_same_picture(ctx, vae):
    latent = vae_encode_tiled(ctx, picture(128, 192), vae, tile_size=64, overlap=32)
    assert latent.samples.shape == (1, 4, 16, 24)
    tiled, whole = vae_decode_tiled(ctx, latent, vae, tile_size=96, overlap=32), vae_decode(ctx, latent, vae)
    assert tiled.shape == whole.shape == (1, 128, 192, 3)
    assert not tiled.equal(whole) and (tiled - whole).abs().mean() < 0.1
