"""Values through their codecs: what comes back is what went in, bit by bit, and models come back as references."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load, save

from engine.diffusion.checkpoints import load_checkpoint
from engine.errors import MissingFile, ModelFormatError, Unstorable
from engine.graph.ports import port_named
from engine.values import image, latent, model  # noqa: F401 (declare the ports)
from engine.values.conditioning import Area, Condition, Conditioning, StepRanges
from engine.values.latent import Latent
from tests.diffusion import small_checkpoint


def through(name: str, value):
    """encode -> bytes -> decode, as a store does."""
    codec = port_named(name).codec
    tensors, metadata = codec.encode(value)
    return codec.decode(load(save(tensors)) if tensors else {}, json.loads(json.dumps(metadata)))


@pytest.mark.parametrize("name", ["IMAGE", "MASK"])
def test_pictures_and_masks(name):
    value = torch.rand(2, 5, 7, 3)
    assert torch.equal(through(name, value), value)


@pytest.mark.parametrize("value", [Latent(torch.randn(2, 4, 3, 3)), Latent(torch.randn(1, 4, 3, 3), torch.rand(1, 1, 24, 24), (4, 1))])
def test_latents(value):
    got = through("LATENT", value)
    assert torch.equal(got.samples, value.samples) and got.batch_index == value.batch_index
    assert got.noise_mask is value.noise_mask or torch.equal(got.noise_mask, value.noise_mask)


def test_conditionings_with_everything_in_them():
    full = Condition(
        torch.randn(1, 77, 8),
        torch.randn(1, 8),
        strength=0.5,
        area=Area(0.5, 0.25, 0.1, 0.0, fraction=True),
        mask=torch.rand(1, 9, 9),
        mask_strength=0.7,
        mask_bounds=True,
        start_percent=0.1,
        end_percent=0.9,
        steps=StepRanges(20, ((0, 3), (7, 20))),
        fill=True,
        extras={"guidance": 3.5, "width": 1024, "hint": torch.rand(3), "note": "x"},
    )
    value = Conditioning([full, Condition(torch.randn(1, 154, 8))])
    got = through("CONDITIONING", value)
    assert len(got) == 2
    for before, after in zip(value, got, strict=True):
        for field in dataclasses.fields(Condition):
            first, second = getattr(before, field.name), getattr(after, field.name)
            if isinstance(first, torch.Tensor):
                assert torch.equal(first, second)
            elif field.name != "extras":
                assert first == second
    assert torch.equal(got[0].extras["hint"], full.extras["hint"])
    assert {name: value for name, value in got[0].extras.items() if name != "hint"} == {"guidance": 3.5, "width": 1024, "note": "x"}
    assert len(through("CONDITIONING", Conditioning())) == 0


@pytest.mark.parametrize("condition", [{"control": object()}, {"extras": {"f": print}}])
def test_a_conditioning_with_something_alive_in_it_is_not_stored(condition):
    with pytest.raises(Unstorable):
        through("CONDITIONING", Conditioning([Condition(torch.zeros(1, 77, 8), **condition)]))


@pytest.fixture
def file(tmp_path):
    return small_checkpoint.write(
        tmp_path / "small.safetensors", metadata={"easel.latent_rgb": "[[1, 0, 0.5], [0, 1, 0], [0, 0, 1], [0.1, 0.1, 0.1]]"}
    )


def test_models_come_back_as_references_to_the_same_weights(file):
    checkpoint = load_checkpoint(file)
    for name, value in zip(("MODEL", "CLIP", "VAE"), checkpoint, strict=True):
        assert through(name, value).weights == value.weights
        assert port_named(name).codec.encode(value)[0] == {}
    assert through("MODEL", checkpoint.model).latent_rgb == ((1.0, 0.0, 0.5), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.1, 0.1, 0.1))
    assert through("CLIP", checkpoint.clip.with_skip(-2)).skip == -2


def test_a_reference_to_a_changed_or_missing_file_is_not_followed(file):
    codec = port_named("MODEL").codec
    _, metadata = codec.encode(load_checkpoint(file).model)
    small_checkpoint.write(file, metadata={"note": "another"})
    with pytest.raises(ModelFormatError, match="changed"):
        codec.decode({}, metadata)
    file.unlink()
    with pytest.raises(MissingFile):
        codec.decode({}, metadata)


def test_a_model_with_something_alive_on_it_is_not_stored(file):
    with pytest.raises(Unstorable):
        through("MODEL", load_checkpoint(file).model.with_options(guidance=object()))


def test_values_do_not_change(file):
    checkpoint = load_checkpoint(file)
    assert checkpoint.clip.with_skip(-2) is not checkpoint.clip
    assert checkpoint.clip.skip is None
    assert checkpoint.model.with_options(prediction="v").options == {"prediction": "v"}
    assert checkpoint.model.options == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        checkpoint.model.patches = ()
    with pytest.raises(TypeError):
        checkpoint.model.with_options(a=1).options["a"] = 2
