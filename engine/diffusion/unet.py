"""A model value as the sampler sees it: its network on the device, ready to be called."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from engine.diffusion.extra_channels import inputs_of
from engine.diffusion.memory import Memory
from engine.diffusion.model_options import guidance, latent_format, prediction
from engine.diffusion.sampling.inside import Changes
from engine.diffusion.sampling.model import DiffusionModel
from engine.values.model import Model

log = logging.getLogger("easel.sampling")

BYTES_PER_CHANNEL = 250
"""What one pixel of the latent takes while the U-Net runs, per channel of its first level and byte of a number, with a margin:
SD1.5 took 145 at 24x24 in float32 and 93 at 32x32 in bfloat16."""


@contextmanager
def diffusion_model(memory: Memory, model: Model, notice: Callable[[str], None] = log.info) -> Iterator[DiffusionModel]:
    """The network of a model with its patches, loaded for as long as the block runs.

    notice(text): told what takes unusually long before it begins.
    """
    space = latent_format(model)
    config = model.weights.arguments
    width, dtype = config["block_out_channels"][0], memory.network_dtype(model)

    def fits(shape: torch.Size) -> bool:
        return shape[0] * shape[2] * shape[3] * width * BYTES_PER_CHANNEL * dtype.itemsize < memory.available()

    with memory.unet(model) as unet:
        backend = model.options.get("compile")
        run = partial(memory.compiled(unet, backend), notice) if backend else unet
        yield DiffusionModel(
            network=_Network(memory, unet, run),
            prediction=prediction(model),
            latent_format=space,
            device=memory.numerics.device,
            dtype=dtype,
            options=guidance(model),
            inputs=inputs_of(config["in_channels"], space),
            fits=fits,
        )


class _Network:
    """The U-Net as a function; a batch that does not fit is computed in halves."""

    def __init__(self, memory: Memory, unet: nn.Module, run: Callable[..., tuple[Tensor, ...]]) -> None:
        """run: computes the U-Net; itself, or compiled."""
        self._memory, self._unet, self._run = memory, unet, run

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, *, changes: Changes | None = None, **extras: Tensor) -> Tensor:
        if "concat" in extras:
            x = torch.cat([x, extras["concat"].to(x)], dim=1)
        pieces = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= len(x)]
        attempts = [partial(self._in_pieces, count, x, timestep, context, changes) for count in pieces]
        return self._memory.first_that_fits(attempts, "One step of the U-Net")

    def _in_pieces(self, count: int, x: Tensor, timestep: Tensor, context: Tensor, changes: Changes | None) -> Tensor:
        outputs, first = [], 0
        for part, t, words in zip(x.chunk(count), timestep.chunk(count), context.chunk(count), strict=True):
            with changes.on(self._unet, first, len(part)) if changes else nullcontext():
                outputs.append(self._run(part, t, encoder_hidden_states=words, return_dict=False)[0])
            first += len(part)
        return torch.cat(outputs)
