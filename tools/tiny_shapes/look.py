"""A quick look at a model in training: does it do what the prompt says? The loss hardly tells."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.text.chunks import LENGTH
from engine.diffusion.text.tokenizer import BOS, EOS, token_ids
from tools.tiny_shapes.autoencoder import decode
from tools.tiny_shapes.denoiser import hidden_states, noise_levels, sample
from tools.tiny_shapes.judge import judge, nearest_colour
from tools.tiny_shapes.prompts import Prompt

STEPS, CFG = 12, 4.0
FORMAT = LatentFormat(channels=4, scale=0.18215)
MEASURES = ("first guess", "ground", "colour", "shape", "all")


def padded(text: str) -> list[int]:
    """Token ids of a short text with start, end and padding, as CLIP reads it."""
    ids = [BOS, *token_ids(text)]
    return ids + [EOS] * (LENGTH - len(ids))


@torch.no_grad()
def look(
    unet: UNet2DConditionModel, vae: AutoencoderKL, text: CLIPTextModel, prompts: list[Prompt], seed: int
) -> tuple[torch.Tensor, np.ndarray]:
    """How many of the single-shape prompts are right by each of MEASURES (int64), and the pictures (uint8 [N, 128, 128, 3]).

    The first guess is the ground's colour in what the model makes of pure noise in one step without guidance.
    """
    hidden = hidden_states(text, [padded(prompt.text) for prompt in prompts])
    empty = hidden_states(text, [padded("")])
    noise = torch.randn((len(prompts), 4, 16, 16), generator=torch.Generator().manual_seed(seed))
    highest = noise_levels()[-1]
    guess = noise * (highest**2 + 1).sqrt() - highest * unet(noise, 999, encoder_hidden_states=hidden).sample
    first = decode(vae, FORMAT.process_out(guess))
    pictures = decode(vae, FORMAT.process_out(sample(unet, hidden, empty, noise, steps=STEPS, cfg=CFG)))
    right = torch.zeros(len(MEASURES), dtype=torch.int64)
    for prompt, begun, picture in zip(prompts, first, pictures, strict=True):
        verdict, thing, ground = judge(picture), prompt.scene.things[0], prompt.scene.ground
        border = np.concatenate([begun[:8].reshape(-1, 3), begun[-8:].reshape(-1, 3)])
        found = verdict.things[0] if verdict.things else None
        answers = [verdict.background == ground, found and found.colour == thing.colour, found and found.shape == thing.shape]
        right += torch.tensor(
            [nearest_colour(np.median(border, axis=0)) == ground, *map(bool, answers), all(answers) and bool(verdict.shape)]
        )
    return right, pictures
