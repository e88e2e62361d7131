"""Align Your Steps: levels found by optimising against the model (Sabour et al. 2024, published tables)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TABLES = {
    "SD1": (
        *(14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092),
        *(0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582),
    ),
    "SDXL": (
        *(14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141),
        *(0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582),
    ),
    "SVD": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""Eleven levels of ten steps, by family."""


def align_your_steps(family: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The last `denoise` share of `steps` steps, ending in 0; other step counts than ten interpolate the logarithms of the table."""
    if denoise <= 0.0:
        return torch.empty(0)
    table = np.array(TABLES[family])
    if steps + 1 != len(table):
        table = np.exp(np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(table)), np.log(table)))
    sigmas = torch.tensor(table, dtype=torch.float32)[-(round(steps * denoise) + 1) :]
    sigmas[-1] = 0.0
    return sigmas
