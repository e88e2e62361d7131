"""What a LoRA file says about itself: kohya's `ss_`, the hashes, and `modelspec` 1.0.1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from torch import Tensor

from engine.diffusion.adapters.hashes import legacy_hash, model_hash
from engine.diffusion.adapters.low_rank import alpha_of, is_low_rank, rank_of, usual
from engine.diffusion.adapters.reading import Modules
from engine.diffusion.families.adapters import Adapters

Level = Literal["full", "minimal", "none"]

MINIMAL = ("ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_network_args")


@dataclass(frozen=True)
class About:
    """What a person says about a LoRA; empty texts are not written. trigger: the words that call its subject. name: of its file, by which
    AUTOMATIC1111 calls it in prompts."""

    name: str = ""
    title: str = ""
    author: str = ""
    trigger: str = ""
    description: str = ""


def described(
    known: Mapping[str, str], parts: Mapping[str, Modules], adapters: Adapters, about: About, level: Level, now: datetime
) -> dict[str, str]:
    """Metadata for a file, without the hashes.

    known: what the adapter brings along, such as a training's `ss_` keys; what describes the tensors is made anew.
    level: full; minimal: nothing of the training; none: nothing at all.
    """
    if level == "none":
        return {}
    kept = dict(known) if level == "full" else {key: text for key, text in known.items() if key in MINIMAL}
    kept = {key: text for key, text in kept.items() if not key.startswith("sshs_")}
    name = {"ss_output_name": about.name} if about.name and level == "full" else {}
    return {**kept, **name, **_network(kept, parts, adapters), **_modelspec(kept, adapters, about, now)}


def with_hashes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], data: bytes) -> dict[str, str]:
    """The metadata with kohya's two hashes. data: a file with these tensors."""
    return {**metadata, "sshs_model_hash": model_hash(data), "sshs_legacy_hash": legacy_hash(tensors, metadata)}


def _network(known: Mapping[str, str], parts: Mapping[str, Modules], adapters: Adapters) -> dict[str, str]:
    modules = [tensors for own in parts.values() for tensors in own.values()]
    low_rank = [tensors for tensors in modules if is_low_rank(tensors)]
    plain = all(tensors.keys() <= {"up", "down", "alpha"} for tensors in modules)
    ranks, alphas = {rank_of(tensors) for tensors in low_rank}, {alpha_of(tensors) for tensors in low_rank}
    arguments = json.loads(known["ss_network_args"]) if _is_table(known.get("ss_network_args")) else {}
    return {
        "ss_base_model_version": known.get("ss_base_model_version", adapters.base_model_version),
        "ss_v2": known.get("ss_v2", "False"),
        "ss_network_module": known.get("ss_network_module", "networks.lora" if plain else "lycoris.kohya"),
        "ss_network_dim": f"{next(iter(ranks))}" if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{usual(alphas):g}" if len(alphas) == 1 else "Dynamic",
        **({"ss_network_args": json.dumps(arguments)} if arguments else {}),
    }


def _is_table(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or "null"), dict)
    except (ValueError, RecursionError):
        return False


def _modelspec(known: Mapping[str, str], adapters: Adapters, about: About, now: datetime) -> dict[str, str]:
    said = {
        "title": about.title or known.get("modelspec.title", "") or known.get("ss_output_name", "") or about.name,
        "author": about.author,
        "trigger_phrase": about.trigger,
        "description": about.description,
    }
    spec = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{adapters.architecture}/lora",
        "implementation": adapters.implementation,
        "date": now.isoformat(timespec="seconds"),
        "resolution": f"{adapters.resolution}x{adapters.resolution}",
        **({"prediction_type": "epsilon"} if adapters.objective == "eps" else {}),
    }
    kept = {key: known[key] for key in (f"modelspec.{name}" for name in spec) if key in known and key != "modelspec.date"}
    return {
        **{f"modelspec.{key}": text for key, text in spec.items()},
        **kept,
        **{f"modelspec.{key}": text for key, text in said.items() if text},
    }
