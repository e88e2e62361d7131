"""Pictures with A1111's text: read off the graph, and read back."""

import hashlib
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine.graph import Context, JobInfo
from engine.infotext.from_graph import infotext_of
from engine.infotext.text import parse_infotext, write_infotext
from engine.infotext.workflow import workflow_of
from nodes.infotext import save_image_a1111

GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub/tiny.safetensors"}},
    "2": {
        "class_type": "LoraLoader",
        "inputs": {"model": ["1", 0], "clip": ["1", 1], "lora_name": "night.safetensors", "strength_model": 0.5, "strength_clip": 1.0},
    },
    "3": {"class_type": "CLIPSetLastLayer", "inputs": {"clip": ["2", 1], "stop_at_clip_layer": -2}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["3", 0], "text": "a red circle, on white"}},
    "5": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "ugly"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["3", 0], "text": ["5", 0]}},
    "7": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 32, "batch_size": 1}},
    "8": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["2", 0], "positive": ["4", 0], "negative": ["6", 0], "latent_image": ["7", 0], "seed": 2**63, "steps": 20,
            "cfg": 7.5, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0,
        },
    },
    "9": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["1", 2]}},
    "10": {"class_type": "SaveImageA1111", "inputs": {"images": ["9", 0], "filename_prefix": "a"}},
}  # fmt: skip


def test_prompt_settings_and_files_are_read_off_the_graph():
    drawn = infotext_of(GRAPH, "10", (64, 32))
    assert drawn.info.prompt == "a red circle, on white <lora:night:1:0.5>"
    assert drawn.info.negative == "ugly"
    assert dict(drawn.info.settings) == {
        "Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "7.5", "Seed": str(2**63), "Size": "64x32",
        "Model": "tiny", "Clip skip": "2", "RNG": "CPU",
    }  # fmt: skip
    assert drawn.checkpoint == "sub/tiny.safetensors"


def test_prompts_of_a1111s_node_are_taken_as_they_are():
    prompt = {
        "model": ["1", 0],
        "clip": ["1", 1],
        "positive": "a [b:c:0.5] <lora:x:1>",
        "negative": "d",
        "clip_skip": 3,
        "emphasis": "No norm",
    }
    sampler = {**GRAPH["8"]["inputs"], "model": ["p", 0], "positive": ["p", 2], "negative": ["p", 3], "denoise": 0.5}
    graph = {**GRAPH, "p": {"class_type": "PromptA1111", "inputs": prompt}, "8": {"class_type": "KSampler", "inputs": sampler}}
    info = infotext_of(graph, "10", (64, 32)).info
    assert (info.prompt, info.negative) == ("a [b:c:0.5] <lora:x:1>", "d")
    assert (info.settings["Clip skip"], info.settings["Emphasis"], info.settings["Denoising strength"]) == ("3", "No norm", "0.5")


def test_a_second_pass_is_a_hires_fix_and_comes_back_as_one():
    larger = {
        "samples": ["8", 0],
        "model": ["2", 0],
        "positive": ["4", 0],
        "negative": ["6", 0],
        "scale_by": 2.0,
        "steps": 11,
        "denoise": 0.5,
    }
    decode = {"class_type": "VAEDecode", "inputs": {"samples": ["h", 0], "vae": ["1", 2]}}
    info = infotext_of({**GRAPH, "h": {"class_type": "HighResFix", "inputs": larger}, "9": decode}, "10", (128, 64)).info
    assert (info.settings["Size"], info.settings["Hires upscale"], info.settings["Hires steps"]) == ("64x32", "2", "20")
    again = workflow_of(parse_infotext(write_infotext(info)), {})[0].nodes["larger"].inputs
    assert (again["scale_by"], again["steps"], again["denoise"]) == (2.0, 11, 0.5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"denoise": 1e-320}, "10000"),
        ({"denoise": 0.0}, None),
        ({"denoise": float("nan")}, None),
        ({"scale_by": 1e-320}, None),
        ({"scale_by": float("inf")}, None),
        ({"steps": 10**400}, None),
        ({"steps": 0}, None),
        ({"steps": "many"}, None),
    ],
)
def test_a_second_pass_with_odd_numbers_is_told_as_far_as_it_can_be(changes, told):
    larger = {"samples": ["8", 0], "scale_by": 2.0, "steps": 11, "denoise": 0.5, **changes}
    decode = {"class_type": "VAEDecode", "inputs": {"samples": ["h", 0], "vae": ["1", 2]}}
    info = infotext_of({**GRAPH, "h": {"class_type": "HighResFix", "inputs": larger}, "9": decode}, "10", (128, 64)).info
    assert info.settings.get("Hires steps") == told
    assert info.settings["Size"] == ("64x32" if told else "128x64")


def test_prompts_that_are_made_as_the_graph_runs_can_be_given():
    info = infotext_of(GRAPH, "10", (64, 32), "chosen", "avoided").info
    assert (info.prompt, info.negative) == ("chosen <lora:night:1:0.5>", "avoided")


@pytest.mark.parametrize(
    "graph",
    [
        {},
        {"10": {}},
        {"10": {"inputs": {"images": ["10", 0]}}},
        {"10": {"inputs": {"images": ["gone", 0], "x": [1], "y": ["a", "b", "c"]}}},
    ],
)
def test_a_picture_that_no_sampler_drew_has_no_infotext(graph):
    assert infotext_of(graph, "10", (8, 8)) is None


def test_a_ring_of_links_ends():
    graph = {"8": {"class_type": "KSampler", "inputs": {"positive": ["4", 0], "seed": ["5", 0]}}, "10": {"inputs": {"images": ["8", 0]}}}
    graph |= {"4": {"class_type": "CLIPTextEncode", "inputs": {"text": ["5", 0]}}, "5": {"inputs": {"a": "x", "text": ["4", 0]}}}
    graph["4"]["inputs"]["again"] = ["8", 0]
    graph["8"]["inputs"]["model"] = ["l", 0]
    graph["l"] = {"class_type": "LoraLoader", "inputs": {"lora_name": ["8", 0], "model": ["l", 0]}}
    assert infotext_of(graph, "10", (8, 8)).info.settings["Size"] == "8x8"


def saved(ctx: Context, metadata: bool) -> Image.Image:
    job = JobInfo(id="job", prompt=GRAPH, metadata=metadata)
    context = Context(folders=ctx.folders, job=job, node_id="10")
    (record,) = save_image_a1111(context, torch.zeros(1, 32, 64, 3), "a").ui["images"]
    return Image.open(ctx.folders.output / record["filename"])


def test_the_picture_says_what_drew_it_and_comes_back_as_a_workflow(ctx):
    checkpoint, lora = ctx.folders.models / "checkpoints" / "sub" / "tiny.safetensors", ctx.folders.models / "loras" / "night.safetensors"
    checkpoint.parent.mkdir()
    save_file({"x": torch.zeros(2)}, checkpoint)
    save_file({"y": torch.ones(3)}, lora, {"ss_output_name": "night"})
    picture = saved(ctx, metadata=True)
    settings = parse_infotext(picture.text["parameters"]).settings
    assert settings["Model hash"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:10]
    assert settings["Lora hashes"] == f"night: {hashlib.sha256(torch.ones(3).numpy().tobytes()).hexdigest()[:12]}"
    assert json.loads(picture.text["prompt"]) == GRAPH
    files = ctx.folders.listing(("checkpoints", "loras", "embeddings"))
    workflow, notes = workflow_of(parse_infotext(picture.text["parameters"]), files)
    assert notes == []
    assert workflow.nodes["checkpoint"].inputs == {"ckpt_name": "sub/tiny.safetensors"}
    assert workflow.nodes["prompt"].inputs["positive"] == "a red circle, on white <lora:night:1:0.5>"
    assert workflow.nodes["sampler"].inputs["seed"] == 2**63


def test_the_setting_that_leaves_out_metadata_leaves_out_the_infotext(ctx):
    assert saved(ctx, metadata=False).text == {}


def test_a_file_that_is_unknown_here_leaves_out_the_hashes_only(ctx):
    settings = parse_infotext(saved(ctx, metadata=True).text["parameters"]).settings
    assert "Model hash" not in settings and settings["Model"] == "tiny"
