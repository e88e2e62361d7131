"""Our nodes under ComfyUI's ids have ComfyUI's inputs, defaults, ranges, order and outputs, so that its prompts and editors fit.

`object_info.json` is what ComfyUI 0.3.64 answers, without its texts and file lists.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.comfy.protocol.object_info import object_info
from engine.graph.registry import Registry

REFERENCE = json.loads((Path(__file__).parent.parent / "data" / "reference" / "object_info.json").read_text("utf-8"))
MODULES = {
    f"comfy_extras.nodes_{name}"
    for name in (
        "advanced_samplers", "align_your_steps", "apg", "attention_multiply", "canny", "cfg", "compositing", "custom_sampler",
        "differential_diffusion", "easycache", "eps", "freelunch", "fresca", "hypertile", "images", "ip2p", "latent", "mahiro", "mask",
        "lora_extract", "model_advanced", "model_downscale", "model_merging", "morphology", "pag", "perpneg", "post_processing",
        "preview_any", "primitive", "rebatch", "sag", "sdupscale", "slg", "string", "tcfg", "tomesd", "torch_compile",
    )
}  # fmt: skip
LEFT_OUT = {"SaveSVGNode"}  # no node of either program draws vector graphics
COVERED = {
    "TrainLoraNode", "LossGraphNode", "CheckpointLoader", "CheckpointLoaderSimple",
    "CLIPSetLastLayer", "CLIPTextEncode", "ConditioningAverage", "ConditioningCombine", "ConditioningConcat",
    "ConditioningSetArea", "ConditioningSetAreaPercentage", "ConditioningSetAreaStrength", "ConditioningSetMask",
    "ConditioningSetTimestepRange", "ConditioningZeroOut", "EmptyImage", "EmptyLatentImage", "EmptySD3LatentImage", "FluxDisableGuidance",
    "FluxGuidance", "FluxKontextMultiReferenceLatentMethod", "ImageBatch", "ImageInvert", "ImagePadForOutpaint", "ImageScale",
    "ImageScaleBy", "KSampler", "KSamplerAdvanced", "LatentBlend", "LatentComposite", "LatentCrop", "LatentFlip", "LatentFromBatch",
    "LatentRotate", "LatentUpscale", "LatentUpscaleBy", "LoraLoader", "LoraLoaderModelOnly", "LoraModelLoader",
    "SaveLoRANode", "LoadImage", "LoadImageMask", "LoadImageOutput", "LoadLatent",
    "PreviewImage", "RepeatLatentBatch", "SaveImage", "SaveLatent", "SetLatentNoiseMask", "VAEDecode", "VAEDecodeTiled", "VAEEncode",
    "VAEEncodeForInpaint", "VAEEncodeTiled", "InpaintModelConditioning", "FluxKontextImageScale", "LoadImageSetFromFolderNode",
    "LoadImageTextSetFromFolderNode", "RenormCFG", "SkipLayerGuidanceSD3",
    "VAELoader",
} | {name for name, info in REFERENCE.items() if info["python_module"] in MODULES and name not in LEFT_OUT}  # fmt: skip
MEANINGFUL = ("min", "max", "step", "round", "multiline", "dynamicPrompts", "control_after_generate", "image_upload", "lazy", "forceInput")


def load() -> dict[str, Any]:
    registry = Registry()
    registry.load_package("nodes")
    return object_info(registry.catalogue())


OURS = load()


def inputs(info: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Inputs in the order of their widgets: whether each must be given, and its specification."""
    order = [(section, name) for section in ("required", "optional") for name in info["input_order"].get(section, [])]
    return {name: normal(section, info["input"][section][name]) for section, name in order}


def normal(section: str, spec: list[Any]) -> tuple[bool, dict[str, Any]]:
    """A specification with both forms of a combo made alike, what a client takes for granted filled in, and texts left out."""
    type_, options = spec[0], spec[1] if len(spec) > 1 else {}
    options = {key: value for key, value in options.items() if (key, value) != ("default", {})}  # LossGraphNode's, of a socket
    choices = type_ if isinstance(type_, list) else options.get("options", [] if type_ == "COMBO" else None)
    meaning = {key: options[key] for key in MEANINGFUL if options.get(key)} | {
        key: options[key] for key in ("min", "max") if key in options
    }
    if choices is not None:
        choices = [choice for choice in dict.fromkeys(choices) if choice != "pixel_space"]  # no model that Easel opens draws in pixels
        default = options.get("default", choices[0] if choices else None)
        return section == "required" and default is None, {"type": "COMBO", "choices": choices, "default": default, **meaning}
    return section == "required" and "default" not in options, {"type": type_, "default": options.get("default"), **meaning}


def test_every_covered_node_is_there() -> None:
    assert set(OURS) >= COVERED


@pytest.mark.parametrize("name", sorted(set(OURS) & set(REFERENCE)))
def test_a_node_has_the_inputs_of_its_reference(name: str) -> None:
    assert list(inputs(OURS[name]).items()) == list(inputs(REFERENCE[name]).items())


@pytest.mark.parametrize("name", sorted(set(OURS) & set(REFERENCE)))
def test_a_node_has_the_outputs_of_its_reference(name: str) -> None:
    for key in ("name", "output", "output_is_list", "output_name", "output_node"):
        assert OURS[name][key] == REFERENCE[name][key], key
