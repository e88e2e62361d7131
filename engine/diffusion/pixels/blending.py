"""How the colours of two pictures become one. Pictures [B, H, W, C], alphas [B, H, W, 1], both 0..1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.errors import InvalidInput


def _overlay(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))


def _soft_light(a: Tensor, b: Tensor) -> Tensor:
    """W3C Compositing and Blending Level 1, section 10.1.9, with a as the backdrop."""
    root = torch.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, a.sqrt())
    return torch.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (root - a))


BLEND_MODES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normal": lambda a, b: b,
    "multiply": lambda a, b: a * b,
    "screen": lambda a, b: 1 - (1 - a) * (1 - b),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda a, b: a - b,
}


def blend(backdrop: Tensor, source: Tensor, share: float, mode: str) -> Tensor:
    """The backdrop with this share of the blended colours, clipped to 0..1."""
    if mode not in BLEND_MODES:
        raise InvalidInput(f"There is no blend mode {mode!r}.", hint=f"Choose one of {', '.join(BLEND_MODES)}.")
    return (backdrop * (1 - share) + BLEND_MODES[mode](backdrop, source) * share).clamp(0, 1)


def _separable(mix: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """A mode whose alpha is that of a union."""
    return lambda s, sa, d, da: (mix(s, sa, d, da), sa + da - sa * da)


PORTER_DUFF: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "ADD": lambda s, sa, d, da: ((s + d).clamp(0, 1), (sa + da).clamp(0, 1)),
    "CLEAR": lambda s, sa, d, da: (torch.zeros_like(s), torch.zeros_like(sa)),
    "DARKEN": _separable(lambda s, sa, d, da: (1 - da) * s + (1 - sa) * d + torch.minimum(s, d)),
    "DST": lambda s, sa, d, da: (d, da),
    "DST_ATOP": lambda s, sa, d, da: (sa * d + (1 - da) * s, sa),
    "DST_IN": lambda s, sa, d, da: (d * sa, sa * da),
    "DST_OUT": lambda s, sa, d, da: ((1 - sa) * d, (1 - sa) * da),
    "DST_OVER": lambda s, sa, d, da: (d + (1 - da) * s, da + (1 - da) * sa),
    "LIGHTEN": _separable(lambda s, sa, d, da: (1 - da) * s + (1 - sa) * d + torch.maximum(s, d)),
    "MULTIPLY": lambda s, sa, d, da: (s * d, sa * da),
    "OVERLAY": _separable(lambda s, sa, d, da: torch.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - s) * (sa - d))),
    "SCREEN": _separable(lambda s, sa, d, da: s + d - s * d),
    "SRC": lambda s, sa, d, da: (s, sa),
    "SRC_ATOP": lambda s, sa, d, da: (da * s + (1 - sa) * d, da),
    "SRC_IN": lambda s, sa, d, da: (s * da, sa * da),
    "SRC_OUT": lambda s, sa, d, da: ((1 - da) * s, (1 - da) * sa),
    "SRC_OVER": lambda s, sa, d, da: (s + (1 - sa) * d, sa + (1 - sa) * da),
    "XOR": lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d, (1 - da) * sa + (1 - sa) * da),
}
"""(source, its alpha, destination, its alpha) -> (colours, alpha); colours multiplied by alpha. The twelve operators of Porter and Duff
1984, and the blend modes in the form that takes account of alpha (W3C Compositing and Blending). OVERLAY differs from the latter: each
alpha is paired with the other picture's colours, and what only one picture covers is left out, as in ComfyUI's pictures."""


def porter_duff(source: Tensor, source_alpha: Tensor, destination: Tensor, destination_alpha: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """(picture, alpha) of a source over a destination by one operator. Colours are not multiplied by alpha, neither in nor out."""
    if mode not in PORTER_DUFF:
        raise InvalidInput(f"There is no operator {mode!r}.", hint=f"Choose one of {', '.join(PORTER_DUFF)}.")
    colours, alpha = PORTER_DUFF[mode](source * source_alpha, source_alpha, destination * destination_alpha, destination_alpha)
    picture = torch.where(alpha > 1e-5, colours / alpha.clamp(min=1e-5), torch.zeros_like(colours))
    return picture.clamp(0, 1), alpha
