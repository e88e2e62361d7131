"""Training sets that need no pictures: latents drawn from a seed, laid where a training set looks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from engine.diffusion.families import KINDS
from engine.values.dataset import Augmentation, Bucket, CaptionPolicy, Cut, Dataset, Example, TrainingSet

SHUFFLED = CaptionPolicy(shuffle=True, keep_tokens=1, dropout=0.2, tag_dropout=0.1)
CAPTION = "sks shape, large, red, on white"


def random_set(
    folder: Path,
    count: int = 5,
    *,
    policy: CaptionPolicy = SHUFFLED,
    flip: bool = True,
    mask: torch.Tensor | None = None,
    family: str = "sd15",
) -> TrainingSet:
    """Pictures in two buckets (64 x 64 and 96 x 64 pixels), captions read live."""
    space = KINDS[family].latent_format
    examples, cuts, latents = [], [], []
    for number in range(count):
        width = 96 if number % 3 == 2 else 64
        bucket = Bucket(width, 64, width, 64)
        examples.append(
            Example(
                name=f"picture{number}.png", path=str(folder / f"picture{number}.png"), digest=str(number), width=width, height=64,
                captions=(CAPTION.replace("red", ("red", "blue", "green")[number % 3]),), policy=policy, bucket=bucket,
                augmentation=Augmentation(flip=flip),
            )
        )  # fmt: skip
        plain = Cut(width, 64, 0, 0, width, 64)
        own = (plain, replace(plain, flip=True)) if flip else (plain,)
        latent = torch.randn(1, space.channels, 8, width // 8, generator=torch.Generator().manual_seed(number))
        mean = space.process_out(latent)[0]
        files = []
        for cut in own:
            tensors = {"mean": mean.flip(-1).contiguous() if cut.flip else mean, "logvar": torch.full_like(mean, -2.0)}
            if mask is not None:
                tensors["mask"] = mask
            files.append(str(folder / f"{number}{'f' if cut.flip else ''}.safetensors"))
            save_file(tensors, files[-1])
        cuts.append(own)
        latents.append(tuple(files))
    return TrainingSet(Dataset(tuple(examples), trigger="sks shape"), tuple(cuts), tuple(latents), family=family)


def encoded(training_set: TrainingSet, folder: Path, width: int) -> TrainingSet:
    """The same set with every caption encoded to the same words; its captions must not vary."""
    path = folder / "words.safetensors"
    generator = torch.Generator().manual_seed(9)
    words = {"context": torch.randn(1, 77, width, generator=generator), "pooled": torch.randn(1, width, generator=generator)}
    save_file(words, path)
    captions = {"", *(example.captions[0] for example in training_set.dataset.examples)}
    return replace(training_set, texts=dict.fromkeys(captions, str(path)))
