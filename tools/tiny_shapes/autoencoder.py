"""The autoencoder: 128 x 128 pictures to 16 x 16 latents of 4 channels, and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

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
WHOLE = 4  # whole pictures per step and process, in the first stage
WHOLE_BESIDE_CROPS, CROPS, CROP = 1, 8, 64  # the same in the others, beside crops of 64 x 64
STAGES, PEAK_RATES = ("whole", "crops", "polish"), (3e-3, 2e-3, 1e-3)
DECODER_RATE = 2e-3
LATENT_NOISE = 0.1 / 0.18215  # standard deviation, in the VAE's space
KL_WEIGHT = 2e-4


def to_model(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [N, 128, 128, 3] to float32 [N, 3, 128, 128] in -1..1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def train(pictures: np.ndarray, centres: np.ndarray, folder: Path, steps: tuple[int, int, int], team: Team) -> None:
    """Train in three stages, resuming from `folder`: on whole pictures, then twice mostly on crops around shapes, where the edges are.

    pictures: uint8 [N, 128, 128, 3]. centres: [N, 2], x and y of a shape in each. steps: of the two stages.
    Every process of the team runs this; each draws its own batches, their gradients are averaged.
    """
    torch.manual_seed(1)
    vae = AutoencoderKL(**CONFIG).train()

    def whole(draw: np.random.Generator) -> torch.Tensor:
        return _error(vae, to_model(pictures[draw.integers(0, len(pictures), WHOLE)]))

    def whole_and_crops(draw: np.random.Generator) -> torch.Tensor:
        rows, crop_rows = draw.integers(0, len(pictures), WHOLE_BESIDE_CROPS), draw.integers(0, len(pictures), CROPS)
        crops = np.stack([_crop(pictures[row], centres[row], draw) for row in crop_rows])
        return 0.5 * _error(vae, to_model(pictures[rows]), edges=True) + 0.5 * _error(vae, to_model(crops), edges=True)

    stages = (whole, whole_and_crops, whole_and_crops)
    for name, stage, total, rate in zip(STAGES, stages, steps, PEAK_RATES, strict=True):
        _train_stage(vae, name, stage, total, rate, folder, team)


def _crop(picture: np.ndarray, centre: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    left, top = np.clip(centre + draw.integers(-24, 25, 2) - CROP // 2, 0, picture.shape[0] - CROP).astype(int)
    return picture[top : top + CROP, left : left + CROP]


def _error(vae: AutoencoderKL, picture: torch.Tensor, edges: bool = False) -> torch.Tensor:
    """L1 + squared error + a small KL term, and with `edges` also L1 of the steps between neighbouring pixels."""
    posterior = vae.encode(picture).latent_dist
    difference = vae.decode(posterior.sample()).sample - picture
    error = difference.abs().mean() + difference.square().mean()
    kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
    return error + KL_WEIGHT * kl + (_edge_error(difference) if edges else 0)


def _edge_error(difference: torch.Tensor) -> torch.Tensor:
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


def sharpen(
    vae: AutoencoderKL, latents: torch.Tensor, pictures: np.ndarray, centres: np.ndarray, folder: Path, steps: int, team: Team
) -> None:
    """Train the decoder alone on fixed latents (VAE space, [N, 4, 16, 16]) of the pictures, a little noisy as a denoiser's are."""
    vae.train().requires_grad_(False)
    vae.decoder.requires_grad_(True)
    cells = CROP // 8

    def error(latent: torch.Tensor, picture: np.ndarray, draw: np.random.Generator) -> torch.Tensor:
        noise = torch.from_numpy(draw.standard_normal(latent.shape, dtype=np.float32))
        difference = vae.decode(latent + LATENT_NOISE * noise).sample - to_model(picture)
        return difference.abs().mean() + difference.square().mean() + _edge_error(difference)

    def stage(draw: np.random.Generator) -> torch.Tensor:
        rows, crop_rows = draw.integers(0, len(pictures), WHOLE_BESIDE_CROPS), draw.integers(0, len(pictures), CROPS)
        corners = np.clip((centres[crop_rows] + draw.integers(-16, 17, (CROPS, 2))) // 8 - cells // 2, 0, 16 - cells).astype(int)
        places = [(row, slice(y, y + cells), slice(x, x + cells)) for row, (x, y) in zip(crop_rows, corners, strict=True)]
        crops = np.stack([pictures[row, y.start * 8 : y.stop * 8, x.start * 8 : x.stop * 8] for row, y, x in places])
        crop_latents = torch.stack([latents[row, :, y, x] for row, y, x in places])
        return 0.5 * error(latents[rows], pictures[rows], draw) + 0.5 * error(crop_latents, crops, draw)

    _train_stage(vae, "decoder", stage, steps, DECODER_RATE, folder, team)
    vae.eval()


def _train_stage(
    vae: AutoencoderKL, name: str, stage: Callable[[np.random.Generator], torch.Tensor], steps: int, peak: float, folder: Path, team: Team
) -> None:
    learning = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=peak, betas=(0.9, 0.98), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.12)
    checkpoint = Checkpoint(folder / f"autoencoder-{name}.pt", model=vae, optimizer=optimizer, schedule=schedule)
    start = checkpoint.load()
    began, mean = time.monotonic(), 0.0
    for step in range(start, steps):
        loss = stage(np.random.default_rng((step, team.rank)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        team.average([parameter.grad for parameter in learning])
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        mean = loss.item() if step == start else 0.98 * mean + 0.02 * loss.item()
        done = step + 1
        if team.rank == 0 and done % 50 == 0:
            log(folder, f"autoencoder, {name} {done}/{steps} loss {mean:.4f} {(time.monotonic() - began) / (done - start):.2f} s/step")
        if team.rank == 0 and (done % 100 == 0 or done == steps):
            checkpoint.save(done)


def load(folder: Path) -> AutoencoderKL:
    """The autoencoder that `train` left in the folder."""
    vae = AutoencoderKL(**CONFIG)
    vae.load_state_dict(torch.load(folder / f"autoencoder-{STAGES[-1]}.pt", weights_only=True)["model"])
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
