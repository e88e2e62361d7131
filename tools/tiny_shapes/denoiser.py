"""The denoiser: a U-Net with SD1.5's tensor names, trained on latents and the text encoder's hidden states."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

from tools.tiny_shapes.captions import caption_words
from tools.tiny_shapes.muon import Muon
from tools.tiny_shapes.parallel import Team
from tools.tiny_shapes.pictures import Scene
from tools.tiny_shapes.progress import Checkpoint, log, rate_factor
from tools.tiny_shapes.text import encode_words

CONFIG = {
    "sample_size": 16,
    "block_out_channels": (32, 64, 128, 128),
    "layers_per_block": 2,
    "cross_attention_dim": 64,
    "attention_head_dim": 2,  # diffusers' name for the number of heads
    "norm_num_groups": 16,
}
BATCH = 16  # per process
RATE, DECAY = 0.02, 0.1  # of Muon, for every matrix but the first and the last
REST_RATE = 1.5e-3  # of AdamW, for the rest
WARM_UP = 150
UNCAPTIONED = 0.1
EMA_DECAY = 0.998
# The mean of a plain noise of 16 x 16 values is so small that a flat picture's colours show through it at every level,
# and the text would hardly be needed. So each channel of the noise is shifted as a whole, at first by much.
LATE = 0.45  # the part of the training after which colours are settled and shapes matter
NOISE_OFFSETS = (0.3, 0.1)  # early, late
CROWDED = ((600, 1000), (250, 850))  # half of the timesteps are drawn from this range: early, late
LOWEST_WEIGHT, HIGHEST_WEIGHT = 0.5, 20.0


def noise_levels() -> torch.Tensor:
    """sigma of Stable Diffusion's 1000 timesteps (scaled linear betas 0.00085 to 0.012), float32."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    kept = torch.cumprod(1 - betas, 0)
    return ((1 - kept) / kept).sqrt().float()


def new_unet() -> UNet2DConditionModel:
    """An untrained U-Net whose residual branches and output start at zero, which makes the first steps calm."""
    unet = UNet2DConditionModel(**CONFIG)
    for name, parameter in unet.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias", "conv_out.weight", "conv_out.bias")):
            nn.init.zeros_(parameter)
    return unet


@dataclass(frozen=True)
class Material:
    """What the denoiser learns from. latents: float32 [N, 4, 16, 16] in the model's space, of `scenes` in order."""

    latents: torch.Tensor
    scenes: list[Scene]
    text: CLIPTextModel

    def batch(self, rng: random.Random, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents [size, 4, 16, 16] and hidden states [size, 77, 64] of fresh captions, some of them empty."""
        rows = [rng.randrange(len(self.scenes)) for _ in range(size)]
        words = [[] if rng.random() < UNCAPTIONED else caption_words(self.scenes[row], rng) for row in rows]
        return self.latents[rows], hidden_states(self.text, [encode_words(w)[0] for w in words])


@torch.no_grad()
def hidden_states(text: CLIPTextModel, ids: list[list[int]]) -> torch.Tensor:
    """The text encoder's last hidden states, float32 [N, 77, 64]."""
    return text(input_ids=torch.tensor(ids)).last_hidden_state


def weighted_loss(
    unet: UNet2DConditionModel, latents: torch.Tensor, hidden: torch.Tensor, sigmas: torch.Tensor, late: bool, draw: torch.Generator
):
    """The epsilon error times sigma^2 (so the error of the picture), between 0.5 and 20; half of the timesteps from a range."""
    count = len(latents)
    uniform = torch.rand(count, generator=draw)
    low, high = CROWDED[late]
    timesteps = torch.where(torch.arange(count) % 2 == 0, uniform * 1000, low + uniform * (high - low)).long().clamp(max=999)
    sigma = sigmas[timesteps].view(-1, 1, 1, 1)
    noise = torch.randn(latents.shape, generator=draw) + NOISE_OFFSETS[late] * torch.randn((count, latents.shape[1], 1, 1), generator=draw)
    noisy = (latents + sigma * noise) / (sigma.square() + 1).sqrt()
    guess = unet(noisy, timesteps, encoder_hidden_states=hidden).sample
    weight = sigma.square().clamp(LOWEST_WEIGHT, HIGHEST_WEIGHT)
    return (weight * (guess - noise).square()).mean()


def train(material: Material, folder: Path, steps: int, team: Team) -> Iterator[tuple[int, UNet2DConditionModel]]:
    """Train until `steps` are done; resumes from `folder`. Yields (steps done, averaged U-Net) now and then and at the end.

    Every process of the team runs this; each draws its own batches, their gradients are averaged.
    """
    torch.manual_seed(3)
    unet, averaged = new_unet(), new_unet()
    averaged.load_state_dict(unet.state_dict())
    averaged.eval().requires_grad_(False)
    matrices = [p for name, p in unet.named_parameters() if p.ndim >= 2 and not name.startswith(("conv_in", "conv_out"))]
    rest = [p for name, p in unet.named_parameters() if p.ndim < 2 or name.startswith(("conv_in", "conv_out"))]
    muon = Muon(matrices, RATE, team, DECAY)
    adam = torch.optim.AdamW(rest, lr=REST_RATE, betas=(0.9, 0.98), weight_decay=1e-3, fused=True)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: rate_factor(step, steps, WARM_UP)) for o in (muon, adam)]
    checkpoint = Checkpoint(
        folder / "denoiser.pt", unet=unet, averaged=averaged, muon=muon, adam=adam, fast=schedules[0], slow=schedules[1]
    )
    start, began, mean = checkpoint.load(), time.monotonic(), 0.0
    sigmas = noise_levels()
    unet.train()
    for step in range(start, steps):
        seed = step * team.size + team.rank
        latents, hidden = material.batch(random.Random(seed), BATCH)
        loss = weighted_loss(unet, latents, hidden, sigmas, step >= LATE * steps, torch.Generator().manual_seed(seed))
        unet.zero_grad(set_to_none=True)
        loss.backward()
        team.average([p.grad for p in unet.parameters()])
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        muon.step()
        adam.step()
        for schedule in schedules:
            schedule.step()
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(averaged.parameters()), list(unet.parameters()), 1 - decay)
        mean = loss.item() if step == start else 0.98 * mean + 0.02 * loss.item()
        done = step + 1
        if team.rank == 0 and done % 50 == 0:
            log(folder, f"denoiser {done}/{steps} loss {mean:.4f} {(time.monotonic() - began) / (done - start):.2f} s/step")
        if team.rank == 0 and (done % 100 == 0 or done == steps):
            checkpoint.save(done)
        if done % 500 == 0 or done == steps:
            yield done, averaged


def load(folder: Path) -> UNet2DConditionModel:
    """The averaged U-Net that `train` left in the folder."""
    unet = UNet2DConditionModel(**CONFIG).eval()
    unet.load_state_dict(torch.load(folder / "denoiser.pt", weights_only=True)["averaged"])
    return unet


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel, hidden: torch.Tensor, empty: torch.Tensor, noise: torch.Tensor, *, steps: int, cfg: float
) -> torch.Tensor:
    """Euler's method (Karras et al. 2022) over evenly spaced timesteps, for a look at a model in training.

    hidden [N, 77, 64], empty [1, 77, 64], noise [N, 4, 16, 16]; returns latents in the model's space.
    """
    table = noise_levels()
    timesteps = torch.linspace(999, 0, steps).round().long()
    sigmas = torch.cat([table[timesteps], torch.zeros(1)])
    x = noise * (sigmas[0] ** 2 + 1).sqrt()
    context = torch.cat([hidden, empty.expand_as(hidden)])
    for i, timestep in enumerate(timesteps):
        scaled = x / (sigmas[i] ** 2 + 1).sqrt()
        with_text, without = unet(torch.cat([scaled, scaled]), timestep, encoder_hidden_states=context).sample.chunk(2)
        x = x + (without + cfg * (with_text - without)) * (sigmas[i + 1] - sigmas[i])
    return x
