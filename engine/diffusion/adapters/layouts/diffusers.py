"""diffusers' layout: `unet.PATH.lora_A.weight`, with the configuration of each network in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import Tensor

from engine.diffusion.adapters.layouts.peft import config_of, matrices_of
from engine.diffusion.adapters.reading import Modules
from engine.diffusion.families.adapters import Adapters

CONFIG_KEY = "lora_adapter_metadata"


def write(parts: Mapping[str, Modules], adapters: Adapters) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by diffusers' names, and its configuration. Raises InvalidInput for an adapter of another kind than LoRA."""
    tensors: dict[str, Tensor] = {}
    configs = {}
    for name, modules in parts.items():
        part = adapters.parts[name]
        tensors.update(matrices_of(modules, part.dotted))
        rooted = {part.root + path: own for path, own in modules.items()}
        configs.update({f"{name}.{key}": value for key, value in config_of(rooted).items()})
    return tensors, {CONFIG_KEY: json.dumps(configs, sort_keys=True)}
