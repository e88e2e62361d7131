"""Full fine-tuning in a workflow: the next nodes use the model, a file holds it, and another prompt trains nothing."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from engine.graph.folders import EMBEDDED_MODELS
from tests.workflows.test_train_lora import QUICK, trained


def test_a_model_is_trained_used_and_saved_and_another_prompt_trains_nothing(studio):
    outcome = studio.run("train_full", *QUICK)
    assert trained(outcome) == 2
    (record,) = outcome.ui["save"]["models"]
    saved = load_file(studio.runtime.folders.output / "checkpoints" / record["filename"])
    before = load_file(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")
    changed = {name for name, tensor in saved.items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in changed} == {"model", "cond_stage_model"}
    again = studio.run("train_full", *QUICK, "positive.text=a red sks shape")
    assert trained(again) == 0
    assert any(record.class_type == "KSampler" and not record.cached for record in again.records.values())
    name = f"checkpoint.ckpt_name={record['filename']}"
    drawn = studio.draw("text_to_image", name)
    assert drawn.shape == (128, 128, 3)
