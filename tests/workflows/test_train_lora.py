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
