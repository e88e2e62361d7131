"""peft's layout: one network's modules under `base_model.model.`, with the LoraConfig in the header.

Scales are folded into the matrices, so that alpha is the rank everywhere and readers without the config agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from peft import LoraConfig
from torch import Tensor

from engine.diffusion.adapters.low_rank import folded, is_low_rank, rank_of, usual
from engine.diffusion.adapters.reading import Modules
from engine.diffusion.families.adapters import Adapters
from engine.errors import InvalidInput

CONFIG_KEY = "adapter_config"


def write(parts: Mapping[str, Modules], adapters: Adapters) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by peft's names, and its configuration. Raises InvalidInput for an adapter of another kind or of several networks."""
    if len(parts) != 1:
        raise InvalidInput(f"peft's layout holds one network, this LoRA changes {', '.join(parts)}.", hint="Use the layout of diffusers.")
    name, modules = next(iter(parts.items()))
    root = adapters.parts[name].root
    own = {root + path: tensors for path, tensors in modules.items()}
    return matrices_of(own, "base_model.model."), {CONFIG_KEY: json.dumps(config_of(own), sort_keys=True)}


def matrices_of(modules: Modules, prefix: str) -> dict[str, Tensor]:
    """The two matrices of every module, and DoRA's magnitude, by peft's names below a prefix."""
    written = {}
    for path, tensors in modules.items():
        if not is_low_rank(tensors) or not tensors.keys() <= {"up", "down", "alpha", "dora_scale"}:
            raise InvalidInput(
                f"This layout holds LoRA only, and {path} has {', '.join(sorted(tensors))}.",
                hint="Use kohya's layout, or turn the adapter into a LoRA with ResizeLoRA.",
            )
        even = folded(tensors)
        up, down = even["up"], even["down"]
        written[f"{prefix}{path}.lora_A.weight"] = down
        written[f"{prefix}{path}.lora_B.weight"] = up[:, :, None, None] if down.ndim == 4 and up.ndim == 2 else up
        if "dora_scale" in tensors:
            written[f"{prefix}{path}.lora_magnitude_vector"] = tensors["dora_scale"].flatten()
    return written


def config_of(modules: Modules) -> dict[str, Any]:
    """peft's LoraConfig for modules whose scale is 1, as JSON."""
    ranks = {path: rank_of(tensors) for path, tensors in modules.items()}
    rank = int(usual(ranks.values()) or 1)
    own = {path: number for path, number in ranks.items() if number != rank}
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        rank_pattern=own,
        alpha_pattern=dict(own),
        target_modules=sorted(ranks),
        use_dora=any("dora_scale" in tensors for tensors in modules.values()),
    ).to_dict()
    return {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
