"""Tools on LoRAs. Each says how exact its result is."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field

from engine.diffusion.adapters.inspecting import blocks, essentials, table
from engine.diffusion.adapters.layouts import LayoutName
from engine.diffusion.adapters.metadata import Level
from engine.diffusion.adapters.saving import FormatName
from engine.diffusion.adapters.svd import Cut, Keep
from engine.diffusion.adapters.tools import Made, extract, merge, resize
from engine.errors import InvalidInput
from engine.graph import Context, Shown, Widget, node
from engine.values.lora import Lora
from engine.values.model import Clip, Model
from nodes.lora import LoraChoice, chosen_lora
from nodes.lora_files import save_lora

Rank = Annotated[int, Field(ge=1, le=4096)]
ConvRank = Annotated[int, Field(ge=0, le=4096)]
Weight = Annotated[float, Field(ge=-100, le=100), Widget(step=0.05)]
Value = Annotated[float, Field(ge=0, le=1000), Widget(step=0.01)]
Line = Annotated[str, Widget(multiline=False)]


class Tooled(NamedTuple):
    lora: Lora
    report: str


class Inspected(NamedTuple):
    text: str


@node("ExtractLoRA", category="loaders/lora", display_name="Extract LoRA")
def extract_lora(
    ctx: Context,
    tuned_model: Model,
    base_model: Model,
    rank: Rank = 16,
    conv_rank: ConvRank = 0,
    keep_by: Cut = "rank",
    keep_value: Value = 0.0,
    convolutions: bool = True,
    least_difference: Annotated[float, Field(ge=0, le=1), Widget(step=0.0001)] = 0.0,
    tuned_clip: Clip | None = None,
    base_clip: Clip | None = None,
) -> Tooled:
    """The difference of two models of one family as a LoRA: tuned = base + LoRA, as nearly as the rank allows.

    Either may have LoRAs on it: a model with an adapter of another kind and the same without it give that adapter as a LoRA.

    tuned_clip, base_clip: their text encoders, if these differ too.
    rank: the most of a module. conv_rank: that of convolutions over more than one pixel, 0 for the same.
    keep_by, keep_value: rank alone; or of the singular values those above the largest / value (sv_ratio), the largest up to the share
        value of their sum (sv_cumulative) or of the Frobenius norm (sv_fro, such as 0.9).
    convolutions: also those between the transformers.
    least_difference: modules that differ nowhere by more are left out.
    """
    _check_pair(tuned_clip, base_clip)
    keep = _keep(rank, conv_rank, keep_by, keep_value)
    tuned: list[Model | Clip] = [tuned_model]
    base: list[Model | Clip] = [base_model]
    if tuned_clip is not None and base_clip is not None:
        tuned.append(tuned_clip)
        base.append(base_clip)
    return _tooled(extract(tuned, base, keep, least_difference, convolutions, ctx.progress))


@node("ResizeLoRA", category="loaders/lora", display_name="Resize LoRA")
def resize_lora(
    ctx: Context, lora: LoraChoice, rank: Rank = 8, conv_rank: ConvRank = 0, keep_by: Cut = "rank", keep_value: Value = 0.0
) -> Tooled:
    """A LoRA of a smaller rank that does nearly the same. Adapters of other kinds (LoHa, LoKr, full difference) become LoRA.

    rank: the most of a module. conv_rank: that of convolutions over more than one pixel, 0 for the same.
    keep_by, keep_value: as for Extract LoRA.
    """
    return _tooled(resize(chosen_lora(ctx, lora), _keep(rank, conv_rank, keep_by, keep_value), ctx.progress))


@node("MergeLoRA", category="loaders/lora", display_name="Merge LoRAs")
def merge_lora(
    ctx: Context,
    lora_1: LoraChoice,
    weight_1: Weight = 1.0,
    *,
    lora_2: LoraChoice,
    weight_2: Weight = 1.0,
    exact: bool = True,
    rank: Rank = 32,
    lora_3: Lora | None = None,
    weight_3: Weight = 1.0,
    lora_4: Lora | None = None,
    weight_4: Weight = 1.0,
) -> Tooled:
    """Several LoRAs, each times its weight, as one.

    exact: the result does exactly what they do together; its rank is the sum of theirs. Else it has the rank given.
    rank: the most of a module, where it is not exact.
    """
    given = [(chosen_lora(ctx, lora_1), weight_1), (chosen_lora(ctx, lora_2), weight_2)]
    given += [(lora, weight) for lora, weight in ((lora_3, weight_3), (lora_4, weight_4)) if lora is not None]
    return _tooled(merge([lora for lora, _ in given], [weight for _, weight in given], None if exact else Keep(rank), ctx.progress))


@node("ConvertLoRA", category="loaders/lora", display_name="Convert LoRA", output_node=True, lane="io")
def convert_lora(
    ctx: Context,
    lora: LoraChoice,
    name: Line = "converted",
    layout: LayoutName = "diffusers",
    dtype: FormatName = "float16",
    metadata: Level = "full",
    replace: bool = False,
) -> Shown:
    """Write a LoRA to models/loras as another program names it, or in another number format.

    lora: a file of models/loras in any layout, or a link.
    name, layout, dtype, metadata, replace: as for Save LoRA.
    """
    return save_lora(ctx, chosen_lora(ctx, lora), name, layout, dtype, metadata, replace=replace)


@node("InspectLoRA", category="loaders/lora", display_name="Inspect LoRA", output_node=True)
def inspect_lora(ctx: Context, lora: LoraChoice) -> Shown[Inspected]:
    """Tell what is in a LoRA: family, kinds of adapters, ranks and alphas, its triggers and training, and how strong each block is.

    Returns:
        text: all of it, as shown.
    """
    value = chosen_lora(ctx, lora)
    rows = blocks(value)
    text = "\n".join([*essentials(value), "", *table(rows)])
    return Shown({"text": [text], "table": [row._asdict() for row in rows]}, Inspected(text))


def _keep(rank: int, conv_rank: int, by: Cut, value: float) -> Keep:
    if by == "sv_ratio" and value < 1:
        raise InvalidInput(
            f"keep_value is {value:g}, and sv_ratio keeps what is above the largest / keep_value.",
            hint="Set it to more than 1, such as 20.",
        )
    if by in ("sv_cumulative", "sv_fro") and not 0 < value <= 1:
        raise InvalidInput(f"keep_value is {value:g}, and {by} keeps a share.", hint="Set it to more than 0 and at most 1, such as 0.9.")
    if by == "rank" and value:
        raise InvalidInput("keep_value has no effect where only the rank counts.", hint="Set it to 0, or choose another keep_by.")
    return Keep(rank, conv_rank, by, value)


def _check_pair(tuned: Clip | None, base: Clip | None) -> None:
    if (tuned is None) != (base is None):
        raise InvalidInput("One text encoder is connected.", hint="Connect both, or neither.")


def _tooled(made: Made) -> Tooled:
    return Tooled(made.lora, made.report.told())
