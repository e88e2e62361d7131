"""Low-rank approximations of changes by their singular values, and how exact they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from engine.diffusion.adapters.low_rank import is_low_rank, matrices

Cut = Literal["rank", "sv_ratio", "sv_cumulative", "sv_fro"]


@dataclass(frozen=True)
class Keep:
    """Which singular values stay. rank: at most so many; conv_rank: of convolutions over more than one pixel, 0 for the same.

    by: rank alone; sv_ratio: those above the largest divided by `value`; sv_cumulative: the largest, until their sum is the share `value`
    of all; sv_fro: until the Frobenius norm is. At least one stays.
    """

    rank: int
    conv_rank: int = 0
    by: Cut = "rank"
    value: float = 0.0

    def count(self, values: Tensor, large: bool) -> int:
        """How many of these singular values (falling) stay."""
        most = min(self.conv_rank if large and self.conv_rank else self.rank, len(values))
        if self.by == "rank" or not float(values[0]):
            return most
        if self.by == "sv_ratio":
            wanted = int((values > values[0] / self.value).sum())
        else:
            powers = values if self.by == "sv_cumulative" else values**2
            share = self.value if self.by == "sv_cumulative" else self.value**2
            sums = powers.cumsum(0) / powers.sum()
            wanted = int((sums < share - 1e-12).sum()) + 1
        return max(1, min(wanted, most))


class Cutting(NamedTuple):
    """Matrices of one module; the norms of what they are to stand for and of what is missing."""

    tensors: dict[str, Tensor]
    norm: float
    lost: float


@dataclass(frozen=True)
class Report:
    """How exact a tool's result is. Norms are Frobenius norms.

    error: of everything together, relative. worst: the largest relative error of a module, and which it is.
    """

    modules: int
    error: float
    worst: float
    worst_module: str
    ranks: tuple[int, ...]

    def told(self) -> str:
        low, high = (min(self.ranks), max(self.ranks)) if self.ranks else (0, 0)
        ranks = f"rank {low}" if low == high else f"ranks {low} to {high}"
        worst = f"; worst {self.worst_module} with {self.worst:.2%}" if self.worst else ""
        return f"{self.modules} modules, {ranks}; error {self.error:.2%} of the whole (Frobenius norm){worst}"


class Account:
    """Gathers a report module by module."""

    def __init__(self) -> None:
        self._norms = self._losts = 0.0
        self._worst = (0.0, "")
        self._ranks: list[int] = []
        self._modules = 0

    def add(self, name: str, cutting: Cutting) -> None:
        self._modules += 1
        self._norms += cutting.norm**2
        self._losts += cutting.lost**2
        error = cutting.lost / cutting.norm if cutting.norm else 0.0
        self._worst = max(self._worst, (error, name))
        if is_low_rank(cutting.tensors):
            self._ranks.append(len(cutting.tensors["down"]))

    def report(self) -> Report:
        error = (self._losts / self._norms) ** 0.5 if self._norms else 0.0
        return Report(self._modules, error, *self._worst, tuple(self._ranks))


def cut_matrix(delta: Tensor, shape: tuple[int, ...], keep: Keep) -> Cutting:
    """The two matrices nearest to a change [O, I, ...]; shape: of the weight."""
    u, values, v = torch.linalg.svd(delta.double().flatten(1), full_matrices=False)
    return _cutting(u, values, v, shape, keep)


def cut_product(tensors: dict[str, Tensor], keep: Keep) -> Cutting:
    """The same of a LoRA's module, by the small matrix between two orthogonal ones; its whole change is never formed."""
    up, down = matrices(tensors)
    q_up, r_up = torch.linalg.qr(up)
    q_down, r_down = torch.linalg.qr(down.mT)
    u, values, v = torch.linalg.svd(r_up @ r_down.mT)
    return _cutting(q_up @ u, values, v @ q_down.mT, (up.shape[0], *tensors["down"].shape[1:]), keep)


def _cutting(u: Tensor, values: Tensor, v: Tensor, shape: tuple[int, ...], keep: Keep) -> Cutting:
    rank = keep.count(values, len(shape) == 4 and tuple(shape[2:]) != (1, 1))
    root = values[:rank].sqrt()
    up = (u[:, :rank] * root).float().reshape(shape[0], rank, *[1] * (len(shape) - 2))
    down = (root[:, None] * v[:rank]).float().reshape(rank, *shape[1:])
    tensors = {"up": up.contiguous(), "down": down.contiguous(), "alpha": torch.tensor(float(rank))}
    return Cutting(tensors, float(values.norm()), float(values[rank:].norm()))
