"""What a state amounts to: the trained adapter with what its file should say about the training, and the loss curve."""

from __future__ import annotations

import json
from typing import Any

from engine.diffusion.families import ADAPTERS
from engine.diffusion.training.provenance import metadata_of_data, metadata_of_models
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.state import made_with, refused
from engine.values.dataset import TrainingSet
from engine.values.lora import Lora
from engine.values.model import Clip, Model
from engine.values.training import LossCurve, TrainingState

ALGORITHMS = {"lora": "", "oft": "diag-oft"}
"""Kinds of adapters that LyCORIS calls otherwise."""


def lora_of(state: TrainingState, data: TrainingSet | None = None, model: Model | None = None, clip: Clip | None = None) -> Lora:
    """The adapter of a state: its averaged weights where there are some. data, model, clip: told of in its metadata."""
    family = state.record["family"]
    if family not in ADAPTERS:
        raise refused(f"it is of an unknown family of models, {family!r:.40}")
    recipe = made_with(state)
    metadata = {**metadata_of(recipe, state.step), "ss_base_model_version": ADAPTERS[family].base_model_version}
    if data is not None:
        metadata |= metadata_of_data(data, recipe, state.step)
    if model is not None:
        metadata |= metadata_of_models(model, clip)
    return Lora(state.part("average") or state.part("adapter"), metadata)


def curve_of(state: TrainingState) -> LossCurve:
    """The loss of every step up to a state."""
    record = state.record
    pairs = [tuple((step, loss) for step, loss in pairs) for pairs in (record["validation"], record.get("prior", []))]
    return LossCurve(tuple((step, loss, rate) for step, loss, rate in record["curve"]), *pairs)


def metadata_of(recipe: Recipe, steps: int) -> dict[str, str]:
    """The training's settings under the names of kohya's trainer, which is where other programs look for them."""
    adapter, objective, optimizer = recipe.adapter, recipe.objective, recipe.optimizer
    found: dict[str, Any] = {
        "ss_network_module": "networks.lora" if adapter.kind == "lora" else "lycoris.kohya",
        "ss_network_dim": adapter.rank,
        "ss_network_alpha": adapter.alpha,
        "ss_network_dropout": adapter.dropout,
        "ss_network_args": json.dumps(_network_args(recipe)),
        "ss_steps": steps,
        "ss_max_train_steps": recipe.horizon or steps,
        "ss_learning_rate": optimizer.rate,
        "ss_unet_lr": optimizer.rate if adapter.unet else None,
        "ss_text_encoder_lr": optimizer.text_rate if adapter.text_encoder else None,
        "ss_optimizer": f"{optimizer.name}({optimizer.options.replace(' ', ',')})",
        "ss_lr_scheduler": optimizer.schedule,
        "ss_lr_warmup_steps": optimizer.warmup,
        "ss_max_grad_norm": optimizer.max_grad_norm,
        "ss_gradient_accumulation_steps": recipe.accumulation,
        "ss_gradient_checkpointing": recipe.checkpointing,
        "ss_batch_size_per_device": recipe.batch_size,
        "ss_total_batch_size": recipe.batch_size * recipe.accumulation * recipe.processes,
        "ss_fp8_base_unet": recipe.fp8_base,
        "ss_seed": recipe.seed,
        "ss_loss_type": objective.loss,
        "ss_huber_schedule": objective.huber_schedule,
        "ss_huber_c": objective.huber_c,
        "ss_huber_scale": objective.huber_scale,
        "ss_min_snr_gamma": objective.gamma if objective.weighting == "min_snr" else None,
        "ss_debiased_estimation": objective.weighting == "debiased",
        "ss_noise_offset": objective.noise_offset or None,
        "ss_noise_offset_random_strength": objective.noise_offset_random,
        "ss_adaptive_noise_scale": objective.adaptive_noise_scale or None,
        "ss_multires_noise_iterations": objective.multires_iterations or None,
        "ss_multires_noise_discount": objective.multires_discount,
        "ss_ip_noise_gamma": objective.input_noise or None,
        "ss_zero_terminal_snr": objective.zero_terminal_snr,
        "ss_scale_weight_norms": adapter.max_norm or None,
    }
    return {name: str(value) for name, value in found.items()}


def _network_args(recipe: Recipe) -> dict[str, str]:
    adapter = recipe.adapter
    found: dict[str, Any] = {
        "conv_dim": adapter.conv_rank,
        "conv_alpha": adapter.conv_alpha if adapter.conv_rank else 0,
        "rank_dropout": adapter.rank_dropout,
        "module_dropout": adapter.module_dropout,
        "algo": ALGORITHMS.get(adapter.kind, adapter.kind),
        "dora_wd": adapter.magnitude,
        "constraint": adapter.constraint,
        "train_norm": adapter.norms,
        "rs_lora": adapter.rank_stabilised,
        "loraplus_lr_ratio": recipe.optimizer.up_rate if recipe.optimizer.up_rate != 1 else 0,
    }
    return {name: str(value) for name, value in found.items() if value}
