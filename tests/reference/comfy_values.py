"""Values as the recorded calls hold them (tensors, dictionaries, lists) to Easel's values and back."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from engine.values.conditioning import Area, Condition, Conditioning
from engine.values.latent import Latent

FIELDS = {
    "pooled_output": "pooled",
    "strength": "strength",
    "mask": "mask",
    "mask_strength": "mask_strength",
    "set_area_to_bounds": "mask_bounds",
    "start_percent": "start_percent",
    "end_percent": "end_percent",
}


def to_value(port: str, recorded: Any) -> Any:
    """A recorded input, its tensors already filled in, as the value that a port of this type takes."""
    if port == "LATENT":
        index = recorded.get("batch_index")
        return Latent(recorded["samples"], recorded.get("noise_mask"), None if index is None else tuple(index))
    if port == "CONDITIONING":
        return Conditioning(_condition(context, options) for context, options in recorded)
    return recorded


def from_value(value: Any) -> Any:
    """An output in the recorded form; fields that say nothing are left out."""
    if isinstance(value, Latent):
        fields = {"samples": value.samples, "noise_mask": value.noise_mask, "batch_index": value.batch_index}
        return {name: list(field) if isinstance(field, tuple) else field for name, field in fields.items() if field is not None}
    if isinstance(value, Conditioning):
        return [[condition.context, _options(condition)] for condition in value]
    return value


def _condition(context: Any, options: dict[str, Any]) -> Condition:
    fields = {FIELDS[name]: value for name, value in options.items() if name in FIELDS}
    extras = {name: value for name, value in options.items() if name not in FIELDS and name != "area"}
    area = options.get("area")
    if area is not None:
        fraction = area[0] == "percentage"
        area = Area(*(area[1:] if fraction else area), fraction=fraction)
    return Condition(context, area=area, extras=MappingProxyType(extras), **fields)


def _options(condition: Condition) -> dict[str, Any]:
    plain = Condition(condition.context)
    options = dict(condition.extras)
    for name, field in FIELDS.items():
        value = getattr(condition, field)
        if value is not getattr(plain, field) and (field == "pooled" or field == "mask" or value != getattr(plain, field)):
            options[name] = value
    if (area := condition.area) is not None:
        options["area"] = [*(["percentage"] if area.fraction else []), area.height, area.width, area.y, area.x]
    return options
