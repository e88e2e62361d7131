"""What changes a model's network from within while it draws: each node gives another model, and none changes a weight."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.diffusion.inside.downscale import Downscale
from engine.diffusion.inside.freeu import FreeU
from engine.diffusion.inside.tiles_and_tokens import HyperTile, TokenMerging
from engine.diffusion.model_options import with_guidance
from engine.graph import Alias, Widget, node
from engine.values.model import Model

Factor = Annotated[float, Field(ge=0, le=10), Widget(step=0.01)]
Percent = Annotated[float, Field(ge=0, le=1), Widget(step=0.001)]
Method = Literal["bicubic", "nearest-exact", "bilinear", "area", "bislerp"]


@node("FreeU", category="model_patches/unet", display_name="FreeU")
def freeu(model: Model, b1: Factor = 1.1, b2: Factor = 1.2, s1: Factor = 0.9, s2: Factor = 0.2) -> Model:
    """Fewer artefacts and firmer shapes at no cost: features from deeper in the U-Net count more, coarse ones from aside count less.

    b1, b2: factors of the deep features at the two coarsest widths.
    s1, s2: factors of the lowest frequencies of what comes from aside.
    """
    return with_guidance(model, inside=FreeU(b1, b2, s1, s2))


@node("FreeUV2", category="model_patches/unet", display_name="FreeU V2", aliases=(Alias("FreeU_V2"),))
def freeu_v2(model: Model, b1: Factor = 1.3, b2: Factor = 1.4, s1: Factor = 0.9, s2: Factor = 0.2) -> Model:
    """FreeU whose deep features count more only where the picture has structure.

    b1, b2: factors of the deep features at the two coarsest widths.
    s1, s2: factors of the lowest frequencies of what comes from aside.
    """
    return with_guidance(model, inside=FreeU(b1, b2, s1, s2, by_structure=True))


@node("HyperTile", category="model_patches/unet", display_name="HyperTile")
def hypertile(
    model: Model,
    tile_size: Annotated[int, Field(ge=1, le=2048)] = 256,
    swap_size: Annotated[int, Field(ge=1, le=128)] = 2,
    max_depth: Annotated[int, Field(ge=0, le=10)] = 0,
    scale_depth: bool = False,
) -> Model:
    """Draw large pictures faster: the picture looks at itself within tiles only, of sizes that change from layer to layer.

    tile_size: smallest side of a tile in pixels of the picture.
    swap_size: among how many sizes is chosen.
    max_depth: 0 tiles the layers of full resolution only, each further number those of half the resolution before.
    scale_depth: whether tiles of coarser layers show a larger part of the picture.
    """
    return with_guidance(model, inside=HyperTile(tile_size, swap_size, max_depth, scale_depth))


@node("TokenMerging", category="model_patches/unet", display_name="Token Merging", aliases=(Alias("TomePatchModel"),))
def token_merging(model: Model, ratio: Annotated[float, Field(ge=0, le=1), Widget(step=0.01)] = 0.3) -> Model:
    """Draw large pictures faster: places that are alike are computed once (ToMe).

    ratio: the share of the places that is left out.
    """
    return with_guidance(model, inside=TokenMerging(ratio))


@node(
    "DeepShrink",
    category="model_patches/unet",
    display_name="Deep Shrink (Kohya)",
    aliases=(Alias("PatchModelAddDownscale"),),
)
def deep_shrink(
    model: Model,
    block_number: Annotated[int, Field(ge=1, le=32), Widget(step=1)] = 3,
    downscale_factor: Annotated[float, Field(ge=0.1, le=9), Widget(step=0.001)] = 2.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 0.35,
    downscale_after_skip: bool = True,
    downscale_method: Method = "bicubic",
    upscale_method: Method = "bicubic",
) -> Model:
    """Compose a picture larger than the model was trained for without doubled subjects: work smaller in the first part of a run.

    block_number: the input block of the U-Net after which it works smaller.
    downscale_factor: how much smaller.
    start_percent, end_percent: the part of the run.
    downscale_after_skip: hand this block's own features to the way up at full size.
    """
    change = Downscale(block_number, downscale_factor, start_percent, end_percent, downscale_after_skip, downscale_method, upscale_method)
    return with_guidance(model, inside=change)
