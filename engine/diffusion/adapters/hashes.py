"""The hashes by which web UIs know a LoRA. Neither changes when the metadata is edited. Source: kohya's sd-scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def model_hash(data: bytes) -> str:
    """`sshs_model_hash`: SHA-256 of a safetensors file's tensors, without its header."""
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


def legacy_hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """`sshs_legacy_hash`: of 64 KiB after the first MiB of the file that has kohya's metadata only, the first 8 digits."""
    data = save(dict(tensors), {key: text for key, text in metadata.items() if key.startswith("ss_")})
    return hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
