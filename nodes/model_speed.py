"""How a model is computed: number format, compilation, steps left out. Each node gives another model."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from engine.diffusion.model_options import with_guidance
from engine.diffusion.sampling.reuse import Reuse
from engine.graph import Alias, Widget, node
from engine.values.model import Model

Threshold = Annotated[float, Field(ge=0, le=3), Widget(step=0.01)]
Percent = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@node("EasyCache", category="advanced/debug/model", display_name="EasyCache", experimental=True)
def easy_cache(
    model: Model, reuse_threshold: Threshold = 0.2, start_percent: Percent = 0.15, end_percent: Percent = 0.95, verbose: bool = False
) -> Model:
    """Leave the network out at steps where its output hardly changes; made for flow models, of little use with few steps.

    reuse_threshold: estimated relative change up to which a step is left out; 0 leaves none out.
    start_percent, end_percent: the part of the run where steps may be left out.
    verbose: log every decision.
    """
    return with_guidance(model, reuse=Reuse(reuse_threshold, start_percent, end_percent, verbose=verbose))


@node("LazyCache", category="advanced/debug/model", display_name="LazyCache", experimental=True)
def lazy_cache(
    model: Model, reuse_threshold: Threshold = 0.2, start_percent: Percent = 0.15, end_percent: Percent = 0.95, verbose: bool = False
) -> Model:
    """Leave whole steps out where the guided prediction hardly changes; simpler than EasyCache and works with every model.

    reuse_threshold: estimated relative change up to which a step is left out; 0 leaves none out.
    start_percent, end_percent: the part of the run where steps may be left out.
    verbose: log every decision.
    """
    return with_guidance(model, reuse=Reuse(reuse_threshold, start_percent, end_percent, guided=True, verbose=verbose))


@node(
    "CompileModel",
    category="_for_testing",
    display_name="Compile Model",
    experimental=True,
    aliases=(Alias("TorchCompileModel"),),
)
def compile_model(model: Model, backend: Literal["inductor", "cudagraphs"] = "inductor") -> Model:
    """Compile the network with torch.compile: the first step of each picture size takes minutes, all later ones are faster.

    Compiled on a CPU or a CUDA device; on a CPU a C++ compiler must be installed. With nodes that change the network from within
    (FreeU, HyperTile, perturbed attention, ...) it is computed uncompiled.

    backend: what compiles. cudagraphs is for CUDA devices.
    """
    return model.with_options(compile=backend)


@node("ComputeDtype", category="advanced/debug/model", display_name="Compute Dtype", aliases=(Alias("ModelComputeDtype"),))
def compute_dtype(model: Model, dtype: Literal["default", "fp32", "fp16", "bf16"] = "default") -> Model:
    """Have this model's network compute in another number format than the --precision in force.

    dtype: default is what is in force.
    """
    return model.with_options(compute_dtype=DTYPES.get(dtype))
