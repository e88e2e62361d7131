"""The training workflows: from a folder of pictures to a LoRA or a word that the next node uses, and what changes run again."""

from __future__ import annotations

import numpy as np

from engine.diffusion.weights_file import read_header
from engine.graph.executor import Outcome

QUICK = ("plan.steps=2", "plan.save_every=1", "plan.batch_size=1", "plan.validate_every=0", "sampler.steps=2", "optimizer.horizon=4")


def trained(outcome: Outcome) -> int:
    """How many segments were trained in a run."""
    return sum(record.class_type == "TrainSegment" and not record.cached for record in outcome.records.values())


def test_a_lora_is_trained_saved_and_used_and_another_prompt_trains_nothing(studio):
    outcome = studio.run("train_lora", *QUICK)
    assert trained(outcome) == 2
    saved = read_header(studio.runtime.folders.models / "loras" / "my_subject.safetensors")
    assert any(name.startswith("lora_unet_") and name.endswith("lora_up.weight") for name in saved.tensors)
    assert saved.metadata["ss_steps"] == "2" and saved.metadata["modelspec.trigger_phrase"] == "sks shape"
    assert {"sample", "curve", "save"} <= outcome.ui.keys()
    again = studio.run("train_lora", *QUICK, "positive.text=a red sks shape")
    assert trained(again) == 0
    assert any(record.class_type == "KSampler" and not record.cached for record in again.records.values())
    longer = studio.run("train_lora", *QUICK, "plan.steps=3")
    assert trained(longer) == 1


def test_two_loras_are_trained_one_goes_on_beside_the_other_and_both_draw(studio):
    quick = [
        *(f"{part}_plan.{setting}" for part in ("subject", "style") for setting in ("steps=1", "batch_size=1", "validate_every=0")),
        *(f"{part}_known.{setting}" for part in ("subject", "style") for setting in ("count=2", "steps=1")),
        *(f"sample_{part}.steps=2" for part in ("subject", "style")),
    ]
    outcome = studio.run("two_loras", *quick)
    assert trained(outcome) == 3
    loras = studio.runtime.folders.models / "loras"
    assert {read_header(loras / f"{name}.safetensors").metadata["modelspec.trigger_phrase"] for name in ("my_subject", "my_style")} == {
        "sks shape", "hollow drawing",
    }  # fmt: skip
    assert {"picture_subject", "picture_style", "curve"} <= outcome.ui.keys()
    later = studio.run("two_loras", *quick, "subject_optimizer.rate=0.001")
    assert trained(later) == 2  # the subject's two; the style stays
    from_files = studio.run("two_loras", *quick, "styled.lora_name=my_style.safetensors", "together.start=my_subject.safetensors")
    assert trained(from_files) == 1


def test_a_word_is_learned_used_and_saved_and_its_file_draws_the_same(studio):
    outcome = studio.run("learned_word", *QUICK)
    assert trained(outcome) == 2
    drawn = studio.image(outcome.ui["sample"]["images"][0])
    assert outcome.ui["save"]["text"] == ["embeddings/my_word_00001_.safetensors"]
    settings = ("sampler.seed=2", "sampler.steps=2", "sampler.cfg=4")
    by_file, by_start = (
        studio.draw("text_to_image", *settings, f"positive.text=a blue {word} on a white background")
        for word in ("embedding:my_word_00001_", "shape shape")
    )
    assert np.array_equal(by_file, drawn)
    assert not np.array_equal(by_start, drawn)  # what the word began as
