"""Training in a graph: from pictures to a LoRA by segments that the cache keeps, stopped and continued."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from engine.diffusion.adapters.lora import load_lora
from engine.errors import InvalidInput
from engine.graph import Expand, Link, Workflow, validate
from engine.graph.cancel import CancelToken
from engine.graph.executor import Outcome
from engine.settings import load
from engine.values.training import Adapter, FilePlan, LossCurve, Objective, Optimizer, Plan, SamplePlan
from engine.worker.runtime import Runtime, build
from nodes.dataset import buckets, cache_dataset, dataset_from_folder
from nodes.loaders import load as load_checkpoint
from nodes.training import loss_graph, plot_loss_graph, train_lora
from nodes.training_files import training_files
from nodes.training_settings import adapter_spec, objective, optimizer, train_plan, training_samples
from tests.diffusion.training.drawn import picture


@pytest.fixture
def studio(tmp_path) -> Iterator[Runtime]:
    for number in range(3):
        picture(tmp_path / f"datasets/mine/{number}.png", 64, 64, seed=number)
    runtime = build(load(data=tmp_path, precision="fp32"))
    yield runtime
    runtime.close()


def run(studio: Runtime, cancel: CancelToken | None = None, emit: Any = None, keep_last: int | None = None, **plan: Any) -> Outcome:
    """The training of a small LoRA with a horizon of four steps; the values of its result."""
    with Workflow() as workflow:
        checkpoint = load_checkpoint("tiny-shapes.safetensors")
        sized = buckets(dataset_from_folder("mine", trigger="sks shape").dataset, resolution=64, min_side=64, max_side=64)
        data = cache_dataset(sized.dataset, checkpoint.vae, checkpoint.clip).training_set
        spec, goal = adapter_spec(rank=2), objective()
        how, long = optimizer(rate=1e-3, horizon=4, warmup=0), train_plan(**{"steps": 2, "save_every": 1, "batch_size": 1, **plan})
        files = None if keep_last is None else training_files("kept/mine", keep_last, tensorboard=True)
        trained = train_lora(checkpoint.model, data, spec, goal, how, long, checkpoint.clip, files=files)
        plot_loss_graph(trained.curve)
    catalogue = studio.catalogue()
    validated = validate(workflow.flatten(catalogue), catalogue, strict=True)
    validated.raise_for_problems()
    targets = ["train_lora", *validated.outputs]
    return asyncio.run(studio.executor.run(validated.graph, targets, cancel=cancel, emit=emit, keep_values=True))


def segments(outcome: Outcome) -> int:
    """How many segments were trained in a run."""
    return sum(record.class_type == "TrainSegment" and not record.cached for record in outcome.records.values())


def test_a_longer_training_goes_on_and_a_stopped_one_is_the_same_as_one_that_was_not(studio, tmp_path):
    short = run(studio)
    assert short.state == "succeeded", short.error
    ((lora,), (curve,), (state,), _) = short.values["train_lora"]
    assert state.step == 2 and segments(short) == 2
    assert all(name.startswith("lora_unet_") for name in lora.tensors) and lora.metadata["ss_network_dim"] == "2"
    assert [row[0] for row in curve.steps] == [1, 2]
    assert (tmp_path / "temp" / short.ui["plot_loss_graph"]["images"][0]["filename"]).is_file()
    assert segments(run(studio)) == 0

    cancel, told = CancelToken(), []

    def emit(event: Any) -> None:
        if event.kind == "custom" and event.name == "training":
            told.append(event.data["step"])
            if event.data["step"] == 3:
                cancel.give_way()

    whole = {"steps": 4, "save_every": 2}
    assert run(studio, cancel, emit, **whole).state == "gave_way"
    assert told[-1] == 3
    told.clear()
    rest = run(studio, None, emit, **whole)
    assert rest.state == "succeeded", rest.error
    assert told == [4]
    longer = run(studio, None, emit, steps=4)
    assert segments(longer) == 2 and told[1:] == [3, 4]
    for name, tensor in rest.values["train_lora"][0][0].tensors.items():
        assert torch.equal(tensor, longer.values["train_lora"][0][0].tensors[name]), name


def test_the_newest_files_of_a_training_stay_and_those_of_others_are_left_alone(studio, tmp_path):
    folder = tmp_path / "models" / "loras" / "kept"
    folder.mkdir(parents=True)
    (folder / "mine-step000001.safetensors").write_bytes(b"not ours")
    outcome = run(studio, steps=3, keep_last=2)
    assert outcome.state == "succeeded", outcome.error
    names = {path.name for path in folder.iterdir()}
    assert names == {"mine-step000001.safetensors", "mine-step000002.safetensors", "mine-step000003.safetensors"}
    assert (folder / "mine-step000001.safetensors").read_bytes() == b"not ours"
    logs = tmp_path / "output" / "tensorboard" / "kept" / "mine"
    assert {path.name for path in logs.iterdir()} == {f"events.out.tfevents.{step:010}" for step in (1, 2, 3)}
    again = run(studio, steps=3, keep_last=2)
    assert segments(again) == 0 and {path.name for path in folder.iterdir()} == names
    assert run(studio, steps=4, keep_last=2).state == "succeeded"
    assert {path.name for path in folder.iterdir()} == names - {"mine-step000002.safetensors"} | {"mine-step000004.safetensors"}
    lora = load_lora(folder / "mine-step000004.safetensors")
    assert lora.metadata["ss_steps"] == "4"
    assert lora.metadata["ss_output_name"] == "mine-step000004" and lora.metadata["ss_sd_model_name"] == "tiny-shapes.safetensors"
    assert (lora.metadata["ss_num_train_images"], lora.metadata["ss_epoch"]) == ("3", "2")
    assert lora.metadata["modelspec.trigger_phrase"] == "sks shape"


SETTINGS = (Adapter(), Objective(), Optimizer(horizon=1000, schedule="linear"))


def test_segments_end_at_multiples_of_save_every():
    """Also where a training continues from a state, so that what it shares with another is shared."""
    for steps, every, ends in ((10, 4, [4, 8, 10]), (8, 4, [4, 8]), (3, 5, [3])):
        expanded = train_lora(None, _Texts(), *SETTINGS, Plan(steps=steps, save_every=every))
        assert isinstance(expanded, Expand)
        assert [node.inputs["until"] for node in expanded.graph.nodes.values() if node.type == "TrainSegment"] == ends
    expanded = train_lora(None, _Texts(), *SETTINGS, Plan(steps=10, save_every=4), state=_State(5))
    assert [node.inputs["until"] for node in expanded.graph.nodes.values() if node.type == "TrainSegment"] == [8, 10]


def test_a_text_encoder_that_is_not_used_does_not_decide_what_is_trained():
    expanded = train_lora(None, _Texts(), *SETTINGS, Plan(steps=1), clip="text encoder")
    assert expanded.graph.nodes["step 1"].inputs["clip"] is None


def test_samples_hang_on_every_segment_and_on_nothing_that_decides_the_training():
    data = _Texts()
    plain = train_lora(None, data, *SETTINGS, Plan(steps=4, save_every=2), clip="encoder")
    plan = SamplePlan(prompts="a red circle\n\nsks shape", filename_prefix="mine")
    drawn = train_lora(None, data, *SETTINGS, Plan(steps=4, save_every=2), clip="encoder", vae="vae", samples=plan)
    assert {name: drawn.graph.nodes[name] for name in plain.graph.nodes} == plain.graph.nodes
    saved = [node.inputs["filename_prefix"] for node in drawn.graph.nodes.values() if node.type == "SaveImage"]
    assert saved == ["mine-step000002", "mine-step000004"]
    assert sum(node.type == "KSampler" for node in drawn.graph.nodes.values()) == 4
    assert drawn.outputs[3] == Link("sheet 4", 0)
    with pytest.raises(InvalidInput, match="at least one prompt"):
        train_lora(None, _Texts(), *SETTINGS, Plan(), clip="encoder", vae="vae", samples=SamplePlan())


def test_a_training_that_has_nothing_to_do_is_refused():
    with pytest.raises(InvalidInput, match="has 5 steps already"):
        train_lora(None, _Texts(), *SETTINGS, Plan(steps=5), state=_State(5))
    with pytest.raises(InvalidInput, match="not both"):
        train_lora(None, _Texts(), *SETTINGS, Plan(steps=5), state=_State(1), start="lora")


class _Texts:
    texts = ()


class _State:
    def __init__(self, step: int) -> None:
        self.step = step


def test_the_settings_of_nodes_are_those_of_the_values():
    assert adapter_spec() == Adapter()
    assert objective() == Objective()
    assert optimizer() == Optimizer()
    assert train_plan() == Plan()
    savings = {"fp8_base": True, "swap": 0.5, "fused_backward": True}
    assert train_plan(**savings) == Plan(**savings)  # type: ignore[arg-type]
    assert training_samples() == SamplePlan()
    assert training_files() == FilePlan()


def test_the_curve_is_drawn_and_told():
    curve = LossCurve(tuple((step, 1 / step, 1e-4) for step in range(1, 51)), ((25, 0.3), (50, 0.1)), ((2, 0.7),))
    image, data = loss_graph(curve, width=300, height=200)
    assert image.shape == (1, 200, 300, 3)
    ink = (image[0] - 1).abs().amax(-1) > 0.3
    assert ink[:100, 60:100].any() and not ink[60:90, 200:280].any()
    lines = data.splitlines()
    assert lines[0] == "step,loss,rate,fixed_loss,prior_loss" and len(lines) == 51
    assert [lines[step] for step in (1, 2, 25)] == ["1,1.0,0.0001,,", "2,0.5,0.0001,,0.7", "25,0.04,0.0001,0.3,"]
    with pytest.raises(InvalidInput, match="no step"):
        loss_graph(LossCurve())
