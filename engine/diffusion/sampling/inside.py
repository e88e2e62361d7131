"""Changes inside a network: hooks that are on its modules only while it computes one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.diffusion.sampling.prediction import Prediction


class Row(NamedTuple):
    """What one row of a network's batch is for.

    side: the number of its prompt among the guider's sides (0 the positive one, 1 the negative one), None for what a guidance method
    evaluates besides. image: its number in the batch of latents. whole: whether it shows the whole latent, not an area of it.
    """

    side: int | None
    image: int
    whole: bool


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One call of a network, as changes inside it see it.

    rows: of its batch. height, width: in pixels of the latent. memory: lives as long as the run.
    """

    sigma: Tensor
    rows: tuple[Row, ...]
    height: int
    width: int
    prediction: Prediction
    memory: dict[Any, Any]

    def between(self, start_percent: float, end_percent: float) -> bool:
        return between(self.prediction, self.sigma, start_percent, end_percent)


def between(prediction: Prediction, sigma: Tensor, start_percent: float, end_percent: float) -> bool:
    """Whether a level lies in a part of the schedule, both ends included."""
    return prediction.percent_to_sigma(end_percent) <= float(sigma) <= prediction.percent_to_sigma(start_percent)


class Inside(Protocol):
    """A change inside a network: puts hooks on modules and yields their handles. Immutable; it may be used by several runs at once."""

    def __call__(self, network: nn.Module, evaluation: Evaluation) -> Iterable[RemovableHandle]: ...


@dataclass(frozen=True, eq=False)
class Changes:
    """The changes of one call, the innermost first."""

    hooks: Sequence[Inside]
    evaluation: Evaluation

    @contextmanager
    def on(self, network: nn.Module, first: int, count: int) -> Iterator[None]:
        """Have the changes on a network that computes `count` rows of the call, from number `first`."""
        rows = self.evaluation.rows[first : first + count]
        evaluation = replace(self.evaluation, rows=rows)
        handles: list[RemovableHandle] = []
        try:
            for hook in self.hooks:
                for handle in hook(network, evaluation):
                    handles.append(handle)
            yield
        finally:
            for handle in handles:
                handle.remove()
