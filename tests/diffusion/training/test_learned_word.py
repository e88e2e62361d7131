"""Textual inversion: one word learns, nothing else moves, and prompts that call it read what was trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.diffusion.text.encode import encode
from engine.diffusion.text.tokenizer import token_ids
from engine.diffusion.training.learned_word import embedding_of
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Word, word_recipe
from engine.errors import InvalidInput
from engine.values.dataset import CaptionPolicy
from engine.values.training import Objective, Optimizer, Plan
from tests.diffusion.training.sets import random_set
from tests.diffusion.training.test_trainer import assert_same


def recipe(name: str = "sks", start: str = "red circle", vectors: int = 3, **optimizer):
    plan = Plan(steps=4, batch_size=1)
    return word_recipe(Word(name=name, start=start, vectors=vectors), Objective(), Optimizer(rate=0.01, **optimizer), plan)


def test_a_word_starts_as_others_and_learns(checkpoint, memory, run, tmp_path):
    data = random_set(tmp_path, 2, policy=CaptionPolicy(dropout=0.3))
    at_first, whole = run(recipe(), 0, data=data), run(recipe(), 4, data=data)
    with memory.text_encoder(checkpoint.clip) as encoder:
        table = encoder.embeddings.token_embedding.weight
        red, circle = token_ids("red circle")
        assert torch.equal(embedding_of(at_first, checkpoint.clip).vectors["clip_l"], table[[red, circle, red]].float())
        before = {name: tensor.clone() for name, tensor in encoder.named_parameters()}
    learnt = embedding_of(whole, checkpoint.clip)
    assert learnt.name == "sks" and learnt.vectors["clip_l"].shape == (3, table.shape[1])
    assert ((learnt.vectors["clip_l"] - embedding_of(at_first, checkpoint.clip).vectors["clip_l"]).abs() > 1e-3).any(dim=1).all()
    with memory.text_encoder(checkpoint.clip) as encoder:
        assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.named_parameters())
    assert_same(whole, run(recipe(), 2, 4, data=data))


def test_a_prompt_that_calls_the_word_reads_what_was_trained(checkpoint, memory, pictures):
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, recipe()) as trainer:
        trainer.advance()
        with torch.no_grad():
            trained = trainer._networks.reader(["a large (sks:1.3) shape, sksy"])
        embedding = embedding_of(trainer.state(), checkpoint.clip)
    clip = checkpoint.clip.with_embedding(embedding)
    read = encode(memory, clip, "a large (embedding:sks:1.3) shape, sksy")[0].context
    assert torch.allclose(trained, read, atol=1e-5)
    assert not torch.allclose(trained, encode(memory, clip, "a large (sks:1.3) shape, sksy")[0].context, atol=1e-2)


def test_what_cannot_be_learnt_is_refused_by_name(run, pictures):
    with pytest.raises(InvalidInput, match="No caption holds the word 'glow'"):
        run(recipe("glow"), 0)
    with pytest.raises(InvalidInput, match="nothing to start from"):
        run(recipe(start=" "), 0)
    with pytest.raises(InvalidInput, match="encoded already"):
        run(recipe(), 0, data=replace(pictures, texts={}))
    for setting in ({"text_rate": 1e-4}, {"up_rate": 2.0}, {"rates": "mid = 1"}, {"text_share": 0.5}):
        with pytest.raises(InvalidInput, match=next(iter(setting))):
            recipe(**setting)
