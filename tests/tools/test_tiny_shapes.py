"""What tiny-shapes is trained on, and how it is written."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.chunks import chunk
from tools.tiny_shapes import autoencoder, denoiser, export, text
from tools.tiny_shapes.captions import MEANINGS, caption_text, caption_words
from tools.tiny_shapes.look import padded
from tools.tiny_shapes.pictures import COLOURS, SHAPES, draw_scene, held_out, random_scene
from tools.tiny_shapes.prompts import held_out_prompts


def test_no_training_scene_shows_a_held_out_combination() -> None:
    rng = random.Random(3)
    scenes = [random_scene(rng) for _ in range(2000)]
    assert not any(held_out(thing.shape, thing.colour, scene.ground) for scene in scenes for thing in scene.things)
    kept = sum(held_out(s, c, g) for s in SHAPES for c in COLOURS for g in COLOURS if c != g)
    assert 30 < kept < 60  # about a tenth of 448


def test_a_colour_without_a_name_stands_out_and_is_not_said() -> None:
    rng = random.Random(5)
    scenes = [scene for scene in (random_scene(rng, things=1, unnamed=0.5) for _ in range(100)) if not scene.things[0].colour]
    assert 30 < len(scenes) < 70
    for scene in scenes:
        assert not any(meaning.startswith("colour") for _, meaning in caption_words(scene, rng))
        picture, thing = draw_scene(scene, rng).astype(float), scene.things[0]
        assert np.linalg.norm(picture.reshape(-1, 3) - COLOURS[scene.ground], axis=1).max() > 60, thing


def test_graded_prompts_are_held_out_and_say_everything() -> None:
    for prompt in held_out_prompts(40, things=1, seed=1):
        thing = prompt.scene.things[0]
        assert held_out(thing.shape, thing.colour, prompt.scene.ground)
        assert all(word in prompt.text.replace(",", " ").split() for word in (thing.shape, thing.colour, prompt.scene.ground))


def test_captions_read_like_english_and_name_their_parts() -> None:
    rng = random.Random(4)
    for _ in range(300):
        scene = random_scene(rng)
        words = caption_words(scene, rng)
        said = {meaning for _, meaning in words if meaning}
        assert said <= set(MEANINGS)
        for i, thing in enumerate(scene.things, 1):
            assert not {m for m in said if m.startswith(f"colour {i} ")} - {f"colour {i} {thing.colour}"}
        line = caption_text(words)
        assert " a o" not in f" {line}" and " ," not in line


@pytest.mark.parametrize("line", ["a large red circle on a white background", "", "on a blue background, an orange star"])
def test_training_reads_text_as_the_engine_does(line: str) -> None:
    assert [padded(line)] == [[token.id for token in row] for row in chunk(line)]


def test_whitening_changes_the_latents_and_not_the_pictures() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKL(**autoencoder.CONFIG).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (6, 128, 128, 3), dtype=np.uint8)
    before = autoencoder.encode(vae, pictures)
    drawn = autoencoder.decode(vae, before)
    autoencoder.whiten(vae, before)
    after = autoencoder.encode(vae, pictures)
    assert np.abs(autoencoder.decode(vae, after).astype(int) - drawn).max() <= 1
    spread = torch.cov(0.18215 * after.permute(1, 0, 2, 3).reshape(4, -1))
    assert torch.allclose(spread, torch.eye(4), atol=1e-2)


def test_a_written_checkpoint_comes_back_as_the_same_networks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet, vae = UNet2DConditionModel(**denoiser.CONFIG).eval(), AutoencoderKL(**autoencoder.CONFIG).eval()
    encoder = CLIPTextModel(CLIPTextConfig(**text.CONFIG)).eval()
    path = tmp_path / "model.safetensors"
    export.write(path, unet, vae, encoder, [[0.1, 0.2, 0.3]] * 5)
    checkpoint, memory = load_checkpoint(path), Memory(choose("cpu", "fp32"))
    assert checkpoint.model.latent_rgb == ((0.1, 0.2, 0.3),) * 5
    x, context, t = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 64), torch.tensor([500])
    with torch.no_grad(), memory.unet(checkpoint.model) as loaded:
        assert torch.allclose(loaded(x, t, context).sample, unet.half().float()(x, t, context).sample, atol=1e-4)
    with torch.no_grad(), memory.autoencoder(checkpoint.vae) as loaded:
        assert torch.allclose(loaded.decode(x).sample, vae.half().float().decode(x).sample, atol=1e-4)
    ids = torch.tensor([padded("a red circle")])
    with torch.no_grad(), memory.text_encoder(checkpoint.clip) as loaded:
        assert torch.allclose(loaded(input_ids=ids).last_hidden_state, encoder.half().float()(input_ids=ids).last_hidden_state, atol=1e-4)


def test_preview_factors_find_a_linear_map() -> None:
    latents = torch.randn(8, 4, 16, 16)
    rows = torch.tensor([[0.1, 0.0, 0.05], [0.0, 0.1, 0.0], [0.05, 0.0, 0.1], [0.02, 0.03, 0.0], [0.1, -0.1, 0.0]])
    colours = latents.permute(0, 2, 3, 1) @ rows[:4] + rows[4]
    pictures = ((colours + 1) * 127.5).round().clamp(0, 255).byte().repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()
    assert np.allclose(export.preview_factors(latents, pictures), rows, atol=0.01)
