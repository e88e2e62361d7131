"""The autoencoder: 128 x 128 pictures to 16 x 16 latents of 4 channels, and back."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from tools.tiny_shapes.parallel import Team
from tools.tiny_shapes.progress import Checkpoint, log

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (16, 32, 64, 64),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "sample_size": 128,
    "scaling_factor": 0.18215,
}
BATCH = 4  # per process
PEAK_RATE = 3e-3
KL_WEIGHT = 2e-4


def to_model(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [N, 128, 128, 3] to float32 [N, 3, 128, 128] in -1..1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def train(pictures: np.ndarray, folder: Path, steps: int, team: Team) -> None:
    """Train on `pictures` (uint8 [N, 128, 128, 3]) with L1 + squared error + a small KL term; resumes from `folder`.

    Every process of the team runs this; each draws its own batches, their gradients are averaged.
    """
    torch.manual_seed(1)
    vae = AutoencoderKL(**CONFIG)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.12)
    checkpoint = Checkpoint(folder / "autoencoder.pt", model=vae, optimizer=optimizer, schedule=schedule)
    start = checkpoint.load()
    vae.train()
    began, mean = time.monotonic(), 0.0
    for step in range(start, steps):
        rows = np.random.default_rng((step, team.rank)).integers(0, len(pictures), BATCH)
        picture = to_model(pictures[rows])
        posterior = vae.encode(picture).latent_dist
        out = vae.decode(posterior.sample()).sample
        error = functional.l1_loss(out, picture) + functional.mse_loss(out, picture)
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        optimizer.zero_grad(set_to_none=True)
        (error + KL_WEIGHT * kl).backward()
        team.average([parameter.grad for parameter in vae.parameters()])
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean = error.item() if step == start else 0.98 * mean + 0.02 * error.item()
        if team.rank == 0 and (step + 1) % 50 == 0:
            rate = (time.monotonic() - began) / (step + 1 - start)
            log(
                folder,
                f"autoencoder {step + 1}/{steps} error {mean:.4f} kl {kl.item():.3f} {rate:.2f} s/step",
            )
        if team.rank == 0 and ((step + 1) % 100 == 0 or step + 1 == steps):
            checkpoint.save(step + 1)


def load(folder: Path) -> AutoencoderKL:
    """The autoencoder that `train` left in the folder."""
    vae = AutoencoderKL(**CONFIG)
    vae.load_state_dict(torch.load(folder / "autoencoder.pt", weights_only=True)["model"])
    return vae.eval()


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: np.ndarray) -> torch.Tensor:
    """Latent means of the pictures, float32 [N, 4, 16, 16], in the VAE's own space."""
    return torch.cat([vae.encode(to_model(pictures[i : i + 64])).latent_dist.mean for i in range(0, len(pictures), 64)])


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor) -> np.ndarray:
    """Pictures of latents in the VAE's own space: uint8 [N, 128, 128, 3]."""
    out = torch.cat([vae.decode(latents[i : i + 32]).sample for i in range(0, len(latents), 32)])
    return out.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


@torch.no_grad()
def whiten(vae: AutoencoderKL, latents: torch.Tensor, scale: float = 0.18215) -> None:
    """Fold a mixing of the latent channels into the two quant convolutions, in place.

    Afterwards the channels of `scale` times the latents have mean 0, variance 1 and no correlation over `latents`
    (float32 [N, 4, 16, 16], of the VAE as it is), so that no part of a picture's colour hides in a small channel.
    """
    flat = latents.permute(1, 0, 2, 3).reshape(4, -1).double()
    mean = flat.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    forward = torch.diag(values.rsqrt()) @ vectors.T / scale
    backward = torch.linalg.inv(forward)
    quant, post = vae.quant_conv, vae.post_quant_conv
    mixed = forward @ quant.weight[:4, :, 0, 0].double()
    quant.bias[:4] = (forward @ (quant.bias[:4].double() - mean)).float()
    quant.weight[:4, :, 0, 0] = mixed.float()
    weight = post.weight[:, :, 0, 0].double()
    post.bias += (weight @ mean).float()
    post.weight[:, :, 0, 0] = (weight @ backward).float()
