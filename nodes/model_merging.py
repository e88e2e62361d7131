"""Models merged with one another: weighted sums of their weights, and their differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from engine.diffusion.adapters.saving import Style, Written
from engine.diffusion.adapters.svd import Keep
from engine.diffusion.adapters.tools import difference_lora
from engine.diffusion.merging import blended
from engine.errors import InvalidInput
from engine.graph import Context, Shown, Widget, node
from engine.values.model import Clip, Model
from nodes.lora_files import told_of, write_file

CATEGORY = "advanced/model_merging"
Ratio = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Multiplier = Annotated[float, Field(ge=-10, le=10), Widget(step=0.01)]


@node("ModelMergeSimple", category=CATEGORY, display_name="ModelMergeSimple")
def merge_simple(model1: Model, model2: Model, ratio: Ratio = 1.0) -> Model:
    """A model between two: ratio * model1 + (1 - ratio) * model2, weight by weight. Either may have LoRAs on it."""
    return blended(model1, model2, ratio, 1 - ratio)


@node("ModelMergeBlocks", category=CATEGORY, display_name="ModelMergeBlocks")
def merge_blocks(model1: Model, model2: Model, input: Ratio = 1.0, middle: Ratio = 1.0, out: Ratio = 1.0) -> Model:
    """A model between two, with a ratio for each part of the U-Net.

    input: of the input blocks and of what is in no block. middle: of the middle block. out: of the output blocks and the last layer.
    """
    shares = [("middle", middle, 1 - middle), ("out", out, 1 - out)]
    return blended(model1, model2, input, 1 - input, shares)


@node("ModelMergeSubtract", category=CATEGORY, display_name="ModelMergeSubtract")
def merge_subtract(model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """multiplier * (model1 - model2), for Model Merge Add or Extract and Save LoRA; it draws nothing by itself."""
    return blended(model1, model2, multiplier, -multiplier)


@node("ModelMergeAdd", category=CATEGORY, display_name="ModelMergeAdd")
def merge_add(model1: Model, model2: Model) -> Model:
    """model1 + model2, weight by weight; one of them is usually a difference."""
    return blended(model1, model2, 1.0, 1.0)


@node("CLIPMergeSimple", category=CATEGORY, display_name="CLIPMergeSimple")
def clip_merge_simple(clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """A text encoder between two: ratio * clip1 + (1 - ratio) * clip2, weight by weight."""
    return blended(clip1, clip2, ratio, 1 - ratio)


@node("CLIPMergeSubtract", category=CATEGORY, display_name="CLIPMergeSubtract")
def clip_merge_subtract(clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """multiplier * (clip1 - clip2), for CLIP Merge Add or Extract and Save LoRA."""
    return blended(clip1, clip2, multiplier, -multiplier)


@node("CLIPMergeAdd", category=CATEGORY, display_name="CLIPMergeAdd")
def clip_merge_add(clip1: Clip, clip2: Clip) -> Clip:
    """clip1 + clip2, weight by weight; one of them is usually a difference."""
    return blended(clip1, clip2, 1.0, 1.0)


@node("LoraSave", category="_for_testing", display_name="Extract and Save Lora", output_node=True, lane="io")
def lora_save(
    ctx: Context,
    filename_prefix: Annotated[str, Widget(multiline=False)] = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Field(ge=1, le=4096), Widget(step=1)] = 8,
    lora_type: Literal["standard", "full_diff"] = "standard",
    bias_diff: bool = True,
    model_diff: Model | None = None,
    text_encoder_diff: Clip | None = None,
) -> Shown:
    """Write a difference of two models as a LoRA, or as it is, in kohya's layout. Extract LoRA says more and gives it to the next node.

    filename_prefix: the name's beginning below the output folder; what lies in output/loras can be chosen in Load LoRA.
    rank: the most of a module.
    lora_type: matrices of that rank, or whole differences.
    bias_diff: also the differences of biases and norms.
    model_diff, text_encoder_diff: what ModelMergeSubtract and CLIPMergeSubtract give.
    """
    differences = [value for value in (model_diff, text_encoder_diff) if value is not None]
    if not differences:
        raise InvalidInput("There is no difference to save.", hint="Connect model_diff or text_encoder_diff.")
    made = difference_lora(differences, Keep(rank) if lora_type == "standard" else None, biases=bias_diff, step=ctx.progress)
    found: list[Written] = []

    def write(path: Path) -> None:
        write_file(made.lora, Style(), found, path)

    record = ctx.folders.save("output", filename_prefix, ".safetensors", write)
    return Shown({"text": [f"{record['filename']}: {made.report.told()}; {told_of(ctx, found[0])}"], "loras": [record]})
