"""One training at some step: the networks, their optimizer, and what the next step needs. Each step depends on the settings, the state
and the step's number only."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from engine.diffusion.families.family import Kind, Told
from engine.diffusion.memory import Memory
from engine.diffusion.training.batches import Batch, Batches
from engine.diffusion.training.economy import GIB, MARGIN, Activations, Economy, Estimate, activations, chosen, ladder
from engine.diffusion.training.entry_cache import key_of
from engine.diffusion.training.fused import stepping
from engine.diffusion.training.groups import groups_of
from engine.diffusion.training.kept_files import pictures_of
from engine.diffusion.training.networks import AdaptedNetwork, Trained
from engine.diffusion.training.objectives import Noised, Task
from engine.diffusion.training.optimizers import at_average, build_optimizer, build_schedule
from engine.diffusion.training.ranks import Ranks, divided
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.resuming import averages_of, form_of_optimizer, resume_optimizer, resume_scaler, set_schedule
from engine.diffusion.training.state import check_same, packed, refused
from engine.diffusion.training.streams import global_stream, stream
from engine.diffusion.training.text_reader import TextReader
from engine.errors import InvalidInput, OutOfMemory
from engine.values.training import TrainingState

log = logging.getLogger("easel.training")

FIXED_TIMES = (0.2, 0.4, 0.6, 0.8)
PROBES = (8, 16)
"""Sides of the latents that tell how much memory larger ones take."""


@dataclass(frozen=True)
class Step:
    """One optimizer step that was done.

    number: from 1. loss: the mean over its pictures. rate: the learning rate of the first group. pictures: how many it saw.
    gradient: norm of the gradient before clipping. validation: the loss at fixed timesteps where it was measured. prior: the mean loss
    of its regularisation pictures, if it had some.
    """

    number: int
    loss: float
    rate: float
    pictures: int
    gradient: float
    validation: float | None = None
    prior: float | None = None


@dataclass(frozen=True)
class Networks:
    """kind: says how the diffusion network `unet` is called. reader: encodes captions, None if the data brings them encoded.
    adapted: by part, those that are trained. base: the U-Net as it was, where its predictions are preserved."""

    kind: Kind
    unet: Any
    reader: TextReader | None
    adapted: dict[str, Trained]
    base: nn.Module | None = None

    def modules(self) -> list[nn.Module]:
        return [self.unet, *(network.module for network in self.adapted.values())]

    def checkpoint(self, on: bool) -> None:
        """Whether activations are computed again in the backward pass instead of kept."""
        if on:
            self.unet.enable_gradient_checkpointing()
        else:
            self.unet.disable_gradient_checkpointing()
        if "text_encoder" in self.adapted:
            encoder = self.adapted["text_encoder"].module
            encoder.activation_checkpointing_enable() if on else encoder.activation_checkpointing_disable()


class Trainer:
    """Make one with `open_trainer`.

    whole: nothing of a step has moved that is not finished. notice(text, hint): told what is done otherwise than asked.
    """

    def __init__(
        self, networks: Networks, task: Task, data: Batches, recipe: Recipe, memory: Memory, ranks: Ranks,
        notice: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self.step = 0
        self.whole = True
        self.recipe = recipe
        self._networks = networks
        self._task = task
        self._data = data
        self._pictures = key_of(*pictures_of(data.training_set))
        self._memory = memory
        self._numerics = memory.numerics
        self._ranks = ranks
        self._notice = notice
        # weights that have moved cannot wait for another piece of the batch
        self._economies = [way for way in ladder(recipe.checkpointing, recipe.batch_size) if way.pieces == 1 or not recipe.fused_backward]
        self._economy = self._economies[0]
        if recipe.checkpointing:
            networks.checkpoint(True)
        self._parameters = [parameter for network in networks.adapted.values() for parameter in network.parameters()]
        self._optimizer = build_optimizer(recipe.optimizer, groups_of(networks.adapted, recipe))
        self._schedule = build_schedule(recipe.optimizer, self._optimizer, recipe.horizon or 1)
        self._scaler = torch.amp.GradScaler(self._numerics.device.type, enabled=self._numerics.network == torch.float16)
        if recipe.fused_backward and self._scaler.is_enabled():
            raise InvalidInput(
                "fused_backward does not go with float16, whose loss scale looks at all gradients of a step.",
                hint="Compute in another precision, such as bf16, or switch fused_backward off.",
            )
        decay = recipe.optimizer.ema
        self._average = EMAModel(self._parameters, decay=decay) if decay else None
        self._curve: list[list[Any]] = []
        self._validation: list[list[Any]] = []
        self._prior: list[list[Any]] = []

    # -- between steps

    def state(self) -> TrainingState:
        """Copies of everything the next step depends on."""
        tensors: dict[str, Tensor] = {}
        for network in self._networks.adapted.values():
            tensors |= {f"adapter.{name}": tensor for name, tensor in network.tensors().items()}
        if self._average is not None:
            shadows = iter(self._average.shadow_params)
            for network in self._networks.adapted.values():
                values = network.stored({name: next(shadows) for name in network.slots})
                tensors |= {f"average.{name}": tensor for name, tensor in values.items()}
        with at_average(self.recipe.optimizer, self._optimizer, self._parameters) as averaged:
            for network in self._networks.adapted.values() if averaged else ():
                tensors |= {f"average.{name}": tensor for name, tensor in network.tensors().items()}
        inner: dict[str, Tensor] = {}
        record = {
            "step": self.step,
            "curve": list(self._curve),
            "validation": list(self._validation),
            "prior": list(self._prior),
            "recipe": self.recipe.model_dump(mode="json"),
            "family": self._networks.kind.name,
            "pictures": self._pictures,
            "economy": asdict(self._economy),
            "optimizer": form_of_optimizer(self._optimizer, inner),
            "scaler": packed(self._scaler.state_dict(), inner),
        }
        return TrainingState({**tensors, **{f"optimizer.{name}": tensor for name, tensor in inner.items()}}, record)

    def load(self, state: TrainingState) -> None:
        """Go on from a state. Raises InvalidInput for one of another training, and for one that no training leaves so."""
        check_same(state, self.recipe)
        record = state.record
        if record["family"] != self._networks.kind.name:
            raise refused(f"it is of a model of the kind {record['family']!r:.40}, this is one of {self._networks.kind.name}")
        if [row[0] for row in record["curve"]] != list(range(1, state.step + 1)):
            raise refused(f"its curve does not have the steps 1 to {state.step}")
        ways = ladder(self.recipe.checkpointing, self.recipe.batch_size)
        economy = next((way for way in ways if asdict(way) == record["economy"]), None)
        if economy is None:
            raise refused(f"no step is computed with {record['economy']!r:.80}")
        for network in self._networks.adapted.values():
            network.load(state.part("adapter"), "The state")
        resume_optimizer(self._optimizer, record["optimizer"], state.part("optimizer"), self.recipe.optimizer.name)
        set_schedule(self._schedule, self._optimizer, state.step)
        resume_scaler(self._scaler, record["scaler"])
        if self._average is not None:
            names = [name for network in self._networks.adapted.values() for name in network.slots]
            self._average.shadow_params = averages_of(state.part("average"), names, self._parameters)
            self._average.optimization_step = state.step
        self._curve, self._validation, self._prior = (list(record.get(name, [])) for name in ("curve", "validation", "prior"))
        self._use(economy if economy in self._economies else self._economies[-1])
        self.step = state.step
        self._ranks.load(state)
        if record.get("pictures", self._pictures) != self._pictures and not self._ranks.number:
            self._notice(
                "The state comes from other pictures or captions: from here on it is trained on these.", "Connect its own dataset."
            )

    # -- one step

    def advance(self) -> Step:
        """One optimizer step. What does not fit into memory is tried again in more frugal ways, which then stay.

        Raises InvalidInput at a loss or a gradient that is no number, OutOfMemory when no way fits; both before anything has moved.
        """
        self._ranks.step()
        rate = float(self._schedule.get_last_lr()[0])
        batches = self._batches(self.step)
        count = sum(len(batch.latents) for batch in batches)
        with stepping(self._optimizer, self._begin) if self.recipe.fused_backward else nullcontext() as norms:
            ways = self._economies[self._economies.index(self._economy) :]
            shares = self._memory.first_that_fits([partial(self._gradients, way, batches, count) for way in ways], "A training step")
        loss, others = self._ranks.sum(shares).tolist()
        gradient = self._move() if norms is None else self._checked(nn.utils.get_total_norm(norms))
        self.whole = False
        self._schedule.step()
        self._after_step()
        self.step += 1
        self._curve.append([self.step, loss, rate])
        prior = None
        if regularisation := int(sum(batch.is_regularisation.sum() for batch in batches)):
            prior = others * count / regularisation
            self._prior.append([self.step, prior])
        self.whole = True
        return Step(self.step, loss, rate, count, gradient, self._measured(), prior)

    def _gradients(self, economy: Economy, batches: list[Batch], count: int) -> Tensor:
        """The gradients of this rank's part of a step; what it adds to the mean loss over all `count` pictures, and what of that is due
        to regularisation pictures, [2] float64."""
        if not self.whole:
            raise OutOfMemory(
                f"Step {self.step + 1} ran out of memory when some weights had moved already, as fused_backward lets them.",
                hint="Switch fused_backward off to go on from the state kept before, or begin anew with `checkpointing` on in the plan.",
            )
        if economy != self._economy:
            self._notice(
                f"A training step does not fit into memory: from here on with {economy}.", "Smaller batches or pictures need less."
            )
            self._use(economy)
        self._optimizer.zero_grad(set_to_none=True)
        return torch.stack([self._backward(batch, number, count) for number, batch in enumerate(batches)]).sum(0)

    def _begin(self) -> None:
        self.whole = False

    def _move(self) -> float:
        """Let the optimizer take its step; the norm of the gradient."""
        self._ranks.sum_gradients(self._parameters)
        if all(parameter.grad is None for parameter in self._parameters):  # in a step that says nothing of what is trained
            return 0.0
        gradient = self._clip()
        self.whole = False
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return gradient

    def _use(self, economy: Economy) -> None:
        if economy.checkpointing != self._economy.checkpointing:
            self._networks.checkpoint(economy.checkpointing)
        self._economy = economy

    def _batches(self, step: int) -> list[Batch]:
        """The batches of a step, each for all ranks together."""
        accumulation = self.recipe.accumulation
        return [self._data.batch(number) for number in range(step * accumulation, (step + 1) * accumulation)]

    def _backward(self, batch: Batch, number: int, count: int) -> Tensor:
        """Add the gradients of this rank's part of a batch; what it adds to the loss, as `_gradients` returns it."""
        noised = self._task.noised(batch.latents, stream(self.recipe.seed, "noise", self.step, number))
        rows = self._ranks.of(len(batch.latents))
        total = torch.zeros(2, dtype=torch.float64)
        if rows.start == rows.stop:
            return total
        with self._dropping(number):
            for piece in divided(rows, min(self._economy.pieces, rows.stop - rows.start)):
                losses = self._losses(batch, noised, piece, reading=self._reads_with_gradient())
                share = losses.sum() / count
                if share.requires_grad:  # a batch of dropped captions says nothing about the text encoder
                    self._scaler.scale(share).backward()
                own = losses.detach().cpu().double() / count
                total += torch.stack([own.sum(), own[batch.is_regularisation[piece]].sum()])
        return total

    def _losses(self, batch: Batch, noised: Noised, rows: slice, *, reading: bool) -> Tensor:
        """The losses of some pictures of a batch with the weights that the data gives them. reading: with gradients of the text encoder."""
        device = self._numerics.device
        part = Noised(*(tensor[rows].to(device) for tensor in noised))
        mask = None if batch.mask is None else batch.mask[rows].to(device)
        with self._autocast():
            told = self._told(part.told, batch, rows, reading)
        training = torch.is_grad_enabled()
        with torch.no_grad(), self._autocast():  # a room of its own, as autocast keeps what it has cast without a graph
            part = self._prepared(part, told, batch.is_regularisation[rows].to(device), training)
        with self._autocast():
            output = self._networks.kind.call(self._networks.unet, part.x, told)
        losses = self._task.losses(output, part, mask) * batch.weight[rows].to(device)
        finite = losses.detach().isfinite()
        if not finite.all():
            raise self._not_finite(batch, rows, finite)
        return losses

    def _prepared(self, part: Noised, told: Told, others: Tensor, training: bool) -> Noised:
        """What is asked of the network where that depends on a network's own prediction. others: [B], regularisation pictures."""
        call = self._networks.kind.call
        if self.recipe.objective.dream and training:
            part = self._task.dreamt(part, call(self._networks.unet, part.x, told).float())
        base = self._networks.base
        if base is None or not others.any():
            return part
        target = part.target.clone()
        target[others] = call(base, part.x[others], told.of(others)).float()
        return part._replace(target=target)

    def _told(self, timestep: Tensor, batch: Batch, rows: slice, reading: bool) -> Told:
        """What the diffusion network is told of some pictures of a batch, on the device."""
        device = self._numerics.device
        pooled = None if batch.pooled is None else batch.pooled[rows].to(device)
        return Told(timestep, self._context(batch, rows, reading).to(device), pooled, batch.sizes[rows].to(device))

    def _context(self, batch: Batch, rows: slice, reading: bool) -> Tensor:
        if batch.context is not None:
            return batch.context[rows]
        assert self._networks.reader is not None  # noqa: S101  (open_trainer has seen to it)
        with torch.set_grad_enabled(reading):
            return self._networks.reader(batch.captions[rows])

    def _reads_with_gradient(self) -> bool:
        """Whether the text encoder is trained in this step: in the first share of the horizon, if at all."""
        recipe = self.recipe
        return "text_encoder" in self._networks.adapted and (
            recipe.optimizer.text_share == 1 or self.step < recipe.optimizer.text_share * recipe.horizon
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        numerics = self._numerics
        return nullcontext() if numerics.network == torch.float32 else torch.autocast(numerics.device.type, dtype=numerics.network)

    def _dropping(self, number: int) -> AbstractContextManager[None]:
        """Dropout draws from torch's global generator; for the step it has a stream of its own."""
        adapter = self.recipe.adapter
        if not (adapter.dropout or adapter.rank_dropout or adapter.module_dropout):
            return nullcontext()
        return global_stream(self.recipe.seed, "dropout", self.step, number, self._ranks.number)

    def _clip(self) -> float:
        """The norm of the gradient before it is shortened."""
        self._scaler.unscale_(self._optimizer)
        return self._checked(nn.utils.clip_grad_norm_(self._parameters, self.recipe.optimizer.max_grad_norm or math.inf))

    def _checked(self, gradient: Tensor) -> float:
        """The norm of a gradient. Raises InvalidInput for one that is no number."""
        norm = float(gradient)
        if not math.isfinite(norm) and not self._scaler.is_enabled():  # the scaler itself passes over such a step
            raise InvalidInput(
                f"The gradient is no finite number at step {self.step + 1}; training stopped "
                f"{'before this step' if self.whole else 'in this step, and goes on from the state that was kept before it'}.",
                hint="Lower the learning rate, or compute in another precision.",
                details={"step": self.step + 1},
            )
        return norm

    def _after_step(self) -> None:
        if self.recipe.adapter.max_norm:
            for network in self._networks.adapted.values():
                if isinstance(network, AdaptedNetwork):
                    network.limit_norms(self.recipe.adapter.max_norm)
        if self._average is not None:
            self._average.step(self._parameters)

    def _not_finite(self, batch: Batch, rows: slice, finite: Tensor) -> InvalidInput:
        examples = self._data.training_set.dataset.examples
        names = [examples[place].name for place, good in zip(batch.examples[rows], finite.tolist(), strict=True) if not good]
        return InvalidInput(
            f"The loss is no finite number at step {self.step + 1}, for {', '.join(names)}; training stopped before this step.",
            hint="Look at these pictures, lower the learning rate, or compute in another precision.",
            details={"step": self.step + 1, "pictures": names},
        )

    # -- memory

    def fit(self) -> None:
        """Choose by an estimate how frugally steps are computed.

        Raises OutOfMemory, before anything is computed, when the most frugal way keeps more than is free.
        """
        free, estimate, area = self._memory.available(), self._estimate(), self._data.largest_area
        if self._numerics.device.type == "cpu":  # which all processes share
            free //= self._ranks.count
        needed = {way: estimate.bytes(way, area, self.recipe.batch_size) for way in self._economies}
        way = chosen(needed, free, str(self._numerics.device))
        if way != self._economy:
            self._notice(
                f"A training step needs about {needed[self._economy] * MARGIN / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free: "
                f"it is computed with {way}.",
                "Smaller batches or buckets need less.",
            )
        self._use(way)

    def _estimate(self) -> Estimate:
        small, large = ((side * side, self._activations(side)) for side in PROBES)
        sizes = [parameter.nbytes for parameter in self._parameters]
        return Estimate(small, large, sum(sizes), max(sizes) if self.recipe.fused_backward else sum(sizes))

    def _activations(self, side: int) -> Activations:
        """Of one picture whose latent is a square."""
        batch = self._data.batch(0)
        x = torch.zeros(1, batch.latents.shape[1], side, side, device=self._numerics.device)
        timestep = torch.zeros(1, device=self._numerics.device)
        reading = self._reads_with_gradient()

        def forward() -> None:
            with self._autocast():
                self._networks.kind.call(self._networks.unet, x, self._told(timestep, batch, slice(0, 1), reading))

        with self._dropping(0):
            return activations(self._networks.unet, self._networks.modules(), forward)

    # -- validation

    def _measured(self) -> float | None:
        every = self.recipe.validate_every
        if not every or self.step % every or self._ranks.number:
            return None
        loss = self.fixed_loss()
        self._validation.append([self.step, loss])
        return loss

    def fixed_loss(self) -> float:
        """The mean loss of the pictures that are held out, or of the first batches, at fixed timesteps with fixed noise and no dropout:
        falls when the network learns."""
        for network in self._networks.adapted.values():
            network.module.eval()
        with torch.no_grad(), at_average(self.recipe.optimizer, self._optimizer, self._parameters):
            losses = [self._fixed_losses(number, batch) for number, batch in enumerate(self._data.validation())]
        for network in self._networks.adapted.values():
            network.module.train()
        return float(torch.cat(losses).mean())

    def _fixed_losses(self, number: int, batch: Batch) -> Tensor:
        losses = []
        for time in FIXED_TIMES:
            times = torch.full((len(batch.latents),), time)
            noised = self._task.noised(batch.latents, stream(self.recipe.seed, "fixed", number, round(time * 1000)), times)
            losses.append(self._losses(batch, noised, slice(None), reading=False))
        return torch.cat(losses)
