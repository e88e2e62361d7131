"""Weights from files into a module: mapped into memory where they lie in the right format, else read tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.diffusion.checkpoint_files import Place, places_of
from engine.diffusion.families import FAMILIES
from engine.errors import ModelFormatError, named
from engine.values.weights import Weights

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2, "F8_E4M3": torch.float8_e4m3fn,
    "I16": torch.int16, "U16": torch.uint16, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32,
    "F32": torch.float32, "I64": torch.int64, "U64": torch.uint64, "F64": torch.float64, "C64": torch.complex64,
}  # fmt: skip


def load_module(weights: Weights, dtype: torch.dtype, device: torch.device, rounding: torch.dtype | None = None) -> nn.Module:
    """The network of these weights, in evaluation mode, without gradients.

    rounding: round the weights to this format before they become dtype. Needs little more memory than the weights in dtype:
    a tensor in another format is converted and its bytes are released before the next one is read.
    Raises MissingFile or ModelFormatError if a file is gone or has changed.
    """
    module = FAMILIES[weights.family].parts[weights.part].empty(weights.arguments)
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    state = {name: tensor.reshape(wanted[name]) for name, tensor in tensors(weights, dtype, device, rounding) if name in wanted}
    if missing := wanted.keys() - state.keys():
        raise ModelFormatError(
            f"{named(Path(weights.files[0].path))}: its {weights.part} lacks {', '.join(sorted(missing)[:8])}.", hint="Load it again."
        )
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False).to(device)


def tensors(
    weights: Weights, dtype: torch.dtype, device: torch.device, rounding: torch.dtype | None = None
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a network one by one, by the module's names, in the order of the files; integers keep their type."""
    renaming = FAMILIES[weights.family].parts[weights.part].renaming(weights.arguments)
    reader = Reader()
    for stored, place in sorted(places_of(weights).items(), key=lambda item: (str(item[1].file.path), item[1].info.start)):
        if (name := renaming.to_module(stored)) is not None:
            yield name, reader.read(place, dtype, device, rounding)


class Reader:
    """Reads tensors; keeps each file mapped while tensors that lie in it are in use."""

    def __init__(self) -> None:
        self._maps: dict[Path, Tensor] = {}

    def read(self, place: Place, dtype: torch.dtype, device: torch.device, rounding: torch.dtype | None = None) -> Tensor:
        stored = DTYPES[place.info.dtype]
        if not stored.is_floating_point:
            return self._copied(place, stored).to(device)
        if stored == dtype and rounding in (None, dtype) and device.type == "cpu":
            return self._mapped(place, stored)
        values = self._copied(place, stored).to(device)
        return (values.to(rounding) if rounding else values).to(dtype)

    def _mapped(self, place: Place, dtype: torch.dtype) -> Tensor:
        path = place.file.path
        if path not in self._maps:
            self._maps[path] = torch.from_file(str(path), shared=False, size=place.file.size, dtype=torch.uint8)
        if place.info.start % dtype.itemsize:
            return self._copied(place, dtype)
        return self._maps[path][place.info.start : place.info.end].view(dtype).view(place.info.shape)

    def _copied(self, place: Place, dtype: torch.dtype) -> Tensor:
        count = place.info.end - place.info.start
        raw = torch.empty(count, dtype=torch.uint8)
        view = memoryview(raw.numpy())  # type: ignore[arg-type]
        with place.file.path.open("rb", buffering=0) as file:
            file.seek(place.info.start)
            done = 0
            while done < count:
                got = file.readinto(view[done:])
                if not got:
                    raise ModelFormatError(f"{named(place.file.path)} became shorter while it was read.", hint="Run the workflow again.")
                done += got
        return raw.view(dtype).view(place.info.shape)
