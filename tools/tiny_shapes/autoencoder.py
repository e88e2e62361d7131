"""The autoencoder: 128 x 128 pictures to 16 x 16 latents of 4 channels, and back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from tools.tiny_shapes.muon import Muon
from tools.tiny_shapes.odd_pictures import odd_picture
from tools.tiny_shapes.parallel import Team
from tools.tiny_shapes.progress import Checkpoint, log, rate_factor

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (16, 32, 64, 128),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "sample_size": 128,
    "scaling_factor": 0.18215,
}
CROPS, CROP, WHOLE = 8, 64, 2  # crops of 64 x 64 per step and process; every fourth step has whole pictures instead
ODD = 0.4  # the part of pictures that show anything, not a scene
RATES, DECODER_RATES = (0.03, 3e-3), (0.01, 1e-3)  # of Muon and AdamW
WARM_UP = 50
# the layers next to pictures and latents, which Muon leaves to AdamW
ENDS = ("quant_conv", "post_quant_conv", "encoder.conv_in", "encoder.conv_out", "decoder.conv_in", "decoder.conv_out")
# on the latent while decoding, in standard deviations (half of it at the end): a denoiser's latents are never exact
NOISE = 0.1

Rates = tuple[float, float]  # of Muon and AdamW
Error = Callable[[int, np.random.Generator], torch.Tensor]  # of a step's pictures


def to_model(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [N, 128, 128, 3] to float32 [N, 3, 128, 128] in -1..1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def train(pictures: np.ndarray, centres: np.ndarray, folder: Path, steps: int, team: Team) -> None:
    """Train on crops around the scenes' shapes, on pictures of anything, and on whole pictures between; resumes from `folder`.

    pictures: uint8 [N, 128, 128, 3]. centres: [N, 2], x and y of a shape in each.
    Every process of the team runs this; each draws its own batches, their gradients are averaged.
    """
    torch.manual_seed(1)
    vae = AutoencoderKL(**CONFIG).train()

    def error(step: int, draw: np.random.Generator) -> torch.Tensor:
        if step % 4 == 3:
            odd, size, rows = WHOLE // 2, pictures.shape[1], draw.integers(0, len(pictures), WHOLE - WHOLE // 2)
            shown = [pictures[row] for row in rows]
        else:
            odd, size = round(ODD * CROPS), CROP
            shown = [_crop(pictures[row], centres[row], draw) for row in draw.integers(0, len(pictures), CROPS - odd)]
        return _error(vae, to_model(np.stack([*shown, *(odd_picture(draw, size) for _ in range(odd))])), draw)

    _train_stage(vae, "all", error, steps, RATES, folder, team)


def _crop(picture: np.ndarray, centre: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    left, top = np.clip(centre + draw.integers(-24, 25, 2) - CROP // 2, 0, picture.shape[0] - CROP).astype(int)
    return picture[top : top + CROP, left : left + CROP]


def _error(vae: AutoencoderKL, picture: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
    """The error of a picture encoded, made noisy and decoded."""
    latent = vae.encode(picture).latent_dist.mean
    spread = latent.detach().std((0, 2, 3), keepdim=True)
    return _difference(vae.decode(latent + NOISE * spread * _noise(latent.shape, draw)).sample - picture)


def _noise(shape: torch.Size, draw: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))


def _difference(difference: torch.Tensor) -> torch.Tensor:
    """L1 + squared error + L1 of the steps between neighbouring pixels."""
    return difference.abs().mean() + difference.square().mean() + _edge_error(difference)


def _edge_error(difference: torch.Tensor) -> torch.Tensor:
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


def sharpen(
    vae: AutoencoderKL, latents: torch.Tensor, pictures: np.ndarray, centres: np.ndarray, folder: Path, steps: int, team: Team
) -> None:
    """Train the decoder alone on fixed latents (VAE space, [N, 4, 16, 16]) of the pictures, noisy, and of pictures of anything."""
    vae.train().requires_grad_(False)
    vae.decoder.requires_grad_(True)
    cells = CROP // 8

    def error(step: int, draw: np.random.Generator) -> torch.Tensor:
        if step % 4 == 3:
            odd, size, rows = WHOLE // 2, pictures.shape[1], draw.integers(0, len(pictures), WHOLE - WHOLE // 2)
            shown, known = [pictures[row] for row in rows], [latents[row] for row in rows]
        else:
            odd, size, rows = round(ODD * CROPS), CROP, draw.integers(0, len(pictures), CROPS - round(ODD * CROPS))
            corners = np.clip((centres[rows] + draw.integers(-16, 17, (len(rows), 2))) // 8 - cells // 2, 0, 16 - cells).astype(int)
            shown = [pictures[row, 8 * y : 8 * (y + cells), 8 * x : 8 * (x + cells)] for row, (x, y) in zip(rows, corners, strict=True)]
            known = [latents[row, :, y : y + cells, x : x + cells] for row, (x, y) in zip(rows, corners, strict=True)]
        odd_pictures = np.stack([odd_picture(draw, size) for _ in range(odd)])
        latent = torch.cat([torch.stack(known), encode(vae, odd_pictures)])
        noisy = latent + 0.5 * NOISE / CONFIG["scaling_factor"] * _noise(latent.shape, draw)
        return _difference(vae.decode(noisy).sample - to_model(np.concatenate([np.stack(shown), odd_pictures])))

    _train_stage(vae, "decoder", error, steps, DECODER_RATES, folder, team)
    vae.eval()


def _train_stage(vae: AutoencoderKL, name: str, error: Error, steps: int, rates: Rates, folder: Path, team: Team) -> None:
    """Steps of Muon on the inner matrices and of AdamW on what else learns, both rates on a half cosine."""
    learning = {name: parameter for name, parameter in vae.named_parameters() if parameter.requires_grad}
    inner = [name for name, parameter in learning.items() if parameter.ndim >= 2 and not name.startswith(ENDS)]
    muon = Muon([learning[name] for name in inner], rates[0], team)
    adam = torch.optim.AdamW([p for name, p in learning.items() if name not in inner], rates[1], (0.9, 0.98), weight_decay=1e-4, fused=True)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: rate_factor(step, steps, WARM_UP)) for o in (muon, adam)]
    checkpoint = Checkpoint(folder / f"autoencoder-{name}.pt", model=vae, muon=muon, adam=adam, slow=schedules[0], other=schedules[1])
    start = checkpoint.load()
    began, mean = time.monotonic(), 0.0
    for step in range(start, steps):
        loss = error(step, np.random.default_rng((step, team.rank)))
        muon.zero_grad(set_to_none=True)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        team.average([parameter.grad for parameter in learning.values()])
        torch.nn.utils.clip_grad_norm_(learning.values(), 1.0)
        muon.step()
        adam.step()
        for schedule in schedules:
            schedule.step()
        mean = loss.item() if step == start else 0.98 * mean + 0.02 * loss.item()
        done = step + 1
        if team.rank == 0 and done % 50 == 0:
            log(folder, f"autoencoder, {name} {done}/{steps} loss {mean:.4f} {(time.monotonic() - began) / (done - start):.2f} s/step")
        if team.rank == 0 and (done % 200 == 0 or done == steps):
            checkpoint.save(done)


def load(folder: Path) -> AutoencoderKL:
    """The autoencoder that `train` left in the folder."""
    vae = AutoencoderKL(**CONFIG)
    vae.load_state_dict(torch.load(folder / "autoencoder-all.pt", weights_only=True)["model"])
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
    The posterior's variance, which the training does not use, becomes that of the noise which the decoder was shown.
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
    quant.weight[4:] = 0
    quant.bias[4:] = 2 * math.log(NOISE / scale)
    weight = post.weight[:, :, 0, 0].double()
    post.bias += (weight @ mean).float()
    post.weight[:, :, 0, 0] = (weight @ backward).float()
