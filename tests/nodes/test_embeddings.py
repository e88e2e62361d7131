"""Learned words as values between nodes, and as files that prompts find."""

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.errors import Unstorable
from engine.graph import Context
from engine.graph.folders import EMBEDDED_MODELS
from engine.graph.ports import port_named
from engine.values.embedding import Embedding
from nodes import embeddings
from nodes.conditioning import clip_encode
from tests.values.test_values import through

VECTORS = torch.randn(2, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def clip():
    return load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors").clip


@pytest.fixture
def told() -> list:
    return []


@pytest.fixture
def ctx(ctx, told) -> Context:
    emit = lambda name, data: told.append((name, data))  # noqa: E731
    return Context(folders=ctx.folders, job=ctx.job, memory=Memory(choose("cpu", "reference")), on_emit=emit)


def width(clip) -> int:
    return clip.weights.arguments["hidden_size"]


def test_a_saved_word_is_called_by_its_file_name_at_once(ctx, clip):
    vectors = torch.randn(2, width(clip), generator=torch.Generator().manual_seed(1))
    embedding = Embedding("thing", {"clip_l": vectors})
    (name,) = embeddings.save(ctx, embedding).ui["text"]
    assert name == "embeddings/easel_00001_.safetensors"
    (by_value,) = clip_encode(ctx, "a embedding:thing", embeddings.apply(clip, embedding))
    (by_other_name,) = clip_encode(ctx, "a embedding:other", embeddings.apply(clip, embedding, "other"))
    (by_file,) = clip_encode(ctx, "a embedding:easel_00001_", clip)
    loaded = embeddings.load(ctx, "easel_00001_.safetensors")
    (by_loaded,) = clip_encode(ctx, "a embedding:easel_00001_", embeddings.apply(clip, loaded))
    for other in (by_other_name, by_file, by_loaded):
        assert torch.equal(by_value.context, other.context)
    assert not torch.equal(by_value.context, clip_encode(ctx, "a", clip)[0].context)


def test_the_later_of_two_words_of_one_name_counts(ctx, clip):
    one, two = (Embedding("x", {"clip_l": torch.full((1, width(clip)), value)}) for value in (0.01, 0.02))
    (both,) = clip_encode(ctx, "embedding:x", embeddings.apply(embeddings.apply(clip, one), two))
    (second,) = clip_encode(ctx, "embedding:x", embeddings.apply(clip, two))
    assert torch.equal(both.context, second.context)


def test_an_unknown_word_is_told_as_a_warning(ctx, clip, told):
    clip_encode(ctx, "a embedding:nobody", clip)
    ((name, data),) = told
    assert name == "warning" and "'nobody'" in data["message"] and data["hint"]


def test_a_prompt_is_encoded_anew_when_a_file_it_calls_changes(ctx):
    folder = ctx.folders.models / "embeddings"
    assert embeddings.called_files(ctx, "a embedding:thing, dog") == []
    save_file({"emb_params": VECTORS[:1]}, folder / "thing.safetensors")
    first = embeddings.called_files(ctx, "a embedding:thing, dog")
    save_file({"emb_params": VECTORS}, folder / "thing.safetensors")
    second = embeddings.called_files(ctx, "a embedding:thing, dog")
    assert first and second and first != second
    assert embeddings.called_files(ctx, "a dog") == []


def test_a_word_survives_the_store_and_an_encoder_with_words_is_made_again(clip):
    got = through("EMBEDDING", Embedding("thing", {"clip_l": VECTORS, "clip_g": VECTORS[:1].clone()}, {"a": "b"}))
    assert got.name == "thing" and got.metadata == {"a": "b"}
    assert torch.equal(got.vectors["clip_l"], VECTORS) and torch.equal(got.vectors["clip_g"], VECTORS[:1])
    with pytest.raises(Unstorable):
        port_named("CLIP").codec.encode(clip.with_embedding(got))
