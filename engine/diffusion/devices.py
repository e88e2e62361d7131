"""Which device computes, and in which number formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import diffusers
import torch
import transformers

from engine.errors import InvalidSettings

PrecisionName = Literal["auto", "reference", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Numerics:
    """A device with the number formats of the networks on it.

    network, vae, text: what these compute in. text_rounding: what the text encoder's weights are rounded to first (ComfyUI keeps
    them in float16 and computes in float32), None for not at all.
    """

    device: torch.device
    precision: PrecisionName
    network: torch.dtype
    vae: torch.dtype
    text: torch.dtype = torch.float32
    text_rounding: torch.dtype | None = torch.float16

    def describe(self) -> dict[str, str]:
        """Everything that decides the last bits of a result, as text; part of the digest of what is computed."""
        return {
            "device": self.device.type,
            "precision": self.precision,
            "network": _name(self.network),
            "vae": _name(self.vae),
            "text": _name(self.text),
            "text_rounding": "none" if self.text_rounding is None else _name(self.text_rounding),
            "attention": "sdpa",
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }


def choose(device: str = "auto", precision: PrecisionName = "auto") -> Numerics:
    """The device and formats for two settings. Raises InvalidSettings.

    device: auto (CUDA, else MPS, else CPU) or a torch device such as cuda:1. precision: auto is the fast format that the device
    has natively, reference is what ComfyUI takes on that device, fp32, bf16 and fp16 are for all networks but the text encoder,
    which computes in float32.
    """
    if precision not in get_args(PrecisionName):
        raise InvalidSettings(f"There is no precision {precision!r}.", hint=f"Choose one of {', '.join(get_args(PrecisionName))}.")
    place = _device(device)
    if precision == "fp32":
        return Numerics(place, precision, torch.float32, torch.float32, text_rounding=None)
    if precision == "bf16":
        return Numerics(place, precision, torch.bfloat16, torch.bfloat16)
    if precision == "fp16":
        # the VAE of SDXL and of many merged models overflows in float16
        return Numerics(place, precision, torch.float16, torch.bfloat16 if _fast_bfloat16(place) else torch.float32)
    if place.type == "cpu":
        fast = torch.bfloat16 if precision == "auto" and _fast_bfloat16(place) else torch.float32
        return Numerics(place, precision, fast, fast)
    return Numerics(place, precision, torch.float16, torch.bfloat16 if _fast_bfloat16(place) else torch.float32)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidSettings(f"The device {name!r} cannot be used: {reason}", hint="Use --device auto, or run `easel doctor`.") from error
    if device.type == "meta":
        raise InvalidSettings("The device 'meta' computes nothing.", hint="Use --device auto.")
    return device


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware. A processor with AVX-512 alone can, but slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return any(getattr(torch.cpu, check, bool)() for check in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return False


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
