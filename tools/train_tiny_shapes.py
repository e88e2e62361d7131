"""Train the embedded model `tiny-shapes` from nothing: `python -m tools.train_tiny_shapes`. See docs/tiny_shapes.md."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from engine.whole_files import replacing
from tools.tiny_shapes import autoencoder, data, denoiser, export, text
from tools.tiny_shapes.look import FORMAT, MEASURES, look
from tools.tiny_shapes.parallel import Team, run_team
from tools.tiny_shapes.progress import log
from tools.tiny_shapes.prompts import held_out_prompts

SEED = 7
OUT = Path(__file__).parents[1] / "engine" / "models" / "checkpoints" / "tiny-shapes.safetensors"
LOOKS = 24


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".tiny_shapes"), help="where the training keeps its state; run again to resume")
    parser.add_argument("--out", type=Path, default=OUT, help="the checkpoint to write; written again at every look")
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--autoencoder-steps", type=int, default=3_800)
    parser.add_argument("--denoiser-steps", type=int, default=1_850)
    parser.add_argument("--decoder-steps", type=int, default=420)
    parser.add_argument("--processes", type=int, default=2, help="one core each, for the denoiser; 16 pictures per step each")
    return parser.parse_args()


def prepare(chosen: argparse.Namespace) -> None:
    """Everything the denoiser needs: pictures, text encoder, autoencoder, latents; what is there already is kept."""
    folder = chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    text.train(folder, chosen.text_steps)
    path = folder / "latents.pt"
    if path.exists():
        return
    pictures = data.pictures(data.scenes(chosen.pictures, SEED), folder, SEED)
    run_team(train_autoencoder, chosen.processes, chosen)
    vae = autoencoder.load(folder)
    autoencoder.whiten(vae, autoencoder.encode(vae, pictures[:2000]))
    latents = FORMAT.process_in(autoencoder.encode(vae, pictures))
    factors = export.preview_factors(latents[:2000], pictures[:2000])
    log(folder, f"latents of {len(latents)} pictures, standard deviation per channel {latents.std((0, 2, 3)).tolist()}")
    with replacing(path) as part:
        torch.save({"latents": latents, "factors": factors, "vae": vae.state_dict()}, part)


def train_autoencoder(team: Team, chosen: argparse.Namespace) -> None:
    """The part of one process in the autoencoder's training."""
    scenes = data.scenes(chosen.pictures, SEED)
    pictures = data.pictures(scenes, chosen.folder, SEED)
    autoencoder.train(pictures, data.centres(scenes), chosen.folder, chosen.autoencoder_steps, team)


def train_decoder(team: Team, chosen: argparse.Namespace) -> None:
    """The part of one process in the last touch: the decoder learns the latents as they are, then the checkpoint is written."""
    scenes = data.scenes(chosen.pictures, SEED)
    pictures = data.pictures(scenes, chosen.folder, SEED)
    prepared, vae = load_prepared(chosen.folder)
    latents = FORMAT.process_out(prepared["latents"])
    autoencoder.sharpen(vae, latents, pictures, data.centres(scenes), chosen.folder, chosen.decoder_steps, team)
    if team.rank == 0:
        encoder = text.train(chosen.folder, chosen.text_steps)
        export.write(chosen.out, denoiser.load(chosen.folder), vae, encoder, prepared["factors"])


def load_prepared(folder: Path) -> tuple[dict, AutoencoderKL]:
    """The latents and preview factors that `prepare` left, and the autoencoder that made them."""
    prepared = torch.load(folder / "latents.pt", weights_only=True)
    vae = AutoencoderKL(**autoencoder.CONFIG).eval()
    vae.load_state_dict(prepared["vae"])
    return prepared, vae


def train_denoiser(team: Team, chosen: argparse.Namespace) -> None:
    """The part of one process in the denoiser's training, with looks at held-out prompts on the way."""
    folder = chosen.folder
    prepared, vae = load_prepared(folder)
    encoder = text.train(folder, chosen.text_steps)
    material = denoiser.Material(prepared["latents"], data.scenes(chosen.pictures, SEED), encoder)
    prompts = held_out_prompts(LOOKS, things=1, seed=SEED)[team.rank :: team.size]
    for step, unet in denoiser.train(material, folder, chosen.denoiser_steps, team):
        right, pictures = look(unet, vae, encoder, prompts, seed=team.rank)
        mean = [right.float() / len(prompts)]
        team.average(mean)
        if team.rank == 0:
            log(folder, f"look {step}: " + ", ".join(f"{name} {value:.0%}" for name, value in zip(MEASURES, mean[0].tolist(), strict=True)))
            export.write(chosen.out, unet, vae, encoder, prepared["factors"])
            Image.fromarray(np.concatenate(list(pictures[:12]), axis=1)).save(folder / f"look-{step:05}.png")


def main() -> None:
    chosen = options()
    prepare(chosen)
    run_team(train_denoiser, chosen.processes, chosen)
    run_team(train_decoder, chosen.processes, chosen)


if __name__ == "__main__":
    main()
