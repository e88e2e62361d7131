"""The text encoder: CLIP's own vocabulary and 77 tokens, a narrow transformer, trained on captions alone.

It is trained before the denoiser and then left alone. The task: each token's final hidden state says what that word
means ("colour 1 red": the first shape is red) and nothing else; the end and padding tokens are zero.
"""

from __future__ import annotations

import random
import time
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel

from engine.diffusion.text.chunks import LENGTH
from engine.diffusion.text.tokenizer import BOS, EOS, token_ids
from tools.tiny_shapes.captions import MEANINGS, Word, caption_words
from tools.tiny_shapes.pictures import random_scene
from tools.tiny_shapes.progress import Checkpoint, log

CONFIG = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 49408,
    "max_position_embeddings": LENGTH,
    "hidden_act": "quick_gelu",
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": EOS,
}
BATCH = 24
RATE = 2e-3
LEAK_WEIGHT = 4.0
SILENCE_WEIGHT = 4.0
WORD_LEVEL = 1.5  # root mean square of a word's hidden state after training


_word_ids = cache(token_ids)


def encode_words(words: list[Word]) -> tuple[list[int], list[int]]:
    """Token ids of a caption, padded as CLIP pads, and the index in MEANINGS that each token carries (both 77 long)."""
    ids, labels = [BOS], [0]
    for word, meaning in words:
        pieces = _word_ids(word)
        ids += pieces
        labels += [0] * (len(pieces) - 1) + [MEANINGS.index(meaning)]
    if len(ids) >= LENGTH:
        raise ValueError(f"a caption of {len(ids)} tokens does not fit into {LENGTH}")
    rest = LENGTH - len(ids)
    return ids + [EOS] * rest, labels + [0] * rest


def _swap_one(words: list[Word], rng: random.Random) -> list[Word]:
    """The caption with another value for one of its meaningful words."""
    places = [i for i, (_, meaning) in enumerate(words) if meaning]
    place = rng.choice(places)
    kind = words[place][1].rsplit(" ", 1)[0]
    others = [m for m in MEANINGS if m.startswith(kind + " ") and m != words[place][1]]
    swapped = list(words)
    meaning = rng.choice(others)
    swapped[place] = (meaning.rsplit(" ", 1)[1], meaning)
    return swapped


def _batch(rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    ids, swapped_ids, labels, same = [], [], [], []
    while len(ids) < BATCH:
        words = caption_words(random_scene(rng), rng)
        if not any(meaning for _, meaning in words):
            continue
        swapped = _swap_one(words, rng)
        first, first_labels = encode_words(words)
        second, _ = encode_words(swapped)
        if first.index(EOS) != second.index(EOS):
            continue
        ids.append(first)
        swapped_ids.append(second)
        labels.append(first_labels)
        same.append([a == b for a, b in zip(first, second, strict=True)])
    return torch.tensor(ids), torch.tensor(swapped_ids), torch.tensor(labels), torch.tensor(same)


def train(folder: Path, steps: int) -> CLIPTextModel:
    """Train the text encoder for `steps` steps of 24 caption pairs; resumes from `folder`."""
    torch.manual_seed(2)
    model = CLIPTextModel(CLIPTextConfig(**CONFIG))
    head = nn.Linear(CONFIG["hidden_size"], len(MEANINGS))
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    checkpoint = Checkpoint(folder / "text.pt", model=model, head=head, optimizer=optimizer, schedule=schedule)
    start, began = checkpoint.load(), time.monotonic()
    model.train()
    for step in range(start, steps):
        ids, swapped_ids, labels, same = _batch(random.Random(step))
        both = model(input_ids=torch.cat([ids, swapped_ids])).last_hidden_state
        hidden, swapped = both.chunk(2)
        logits = head(hidden)
        meant = labels > 0
        says = functional.cross_entropy(logits[meant], labels[meant]) + 0.2 * functional.cross_entropy(logits[~meant], labels[~meant])
        leak = (hidden - swapped)[same].square().mean()
        silence = hidden[ids == EOS].square().mean()
        optimizer.zero_grad(set_to_none=True)
        (says + LEAK_WEIGHT * leak + SILENCE_WEIGHT * silence).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            right = (logits.argmax(-1) == labels)[meant].float().mean().item()
            level = hidden[meant].detach().square().mean().sqrt().item()
            rate = (time.monotonic() - began) / (step + 1 - start)
            log(
                folder,
                f"text {step + 1}/{steps} words right {right:.4f} leak {leak.item():.5f} "
                f"padding {silence.item():.5f} level {level:.2f} {rate:.2f} s/step",
            )
    if start < steps:
        with torch.no_grad():
            hidden = model(input_ids=ids).last_hidden_state
            scale = WORD_LEVEL / hidden[meant].square().mean().sqrt()
            norm = _final_norm(model)
            norm.weight *= scale
            norm.bias *= scale
        checkpoint.save(steps)
    return model.eval()


def _final_norm(model: CLIPTextModel) -> nn.LayerNorm:
    return next(module for name, module in model.named_modules() if name.endswith("final_layer_norm"))
