"""SA-Solver: stochastic Adams predictor and corrector (Xue et al. 2023)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.prediction import Prediction
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore
from engine.diffusion.sampling.samplers.sde import below_all_noise

Tau = Callable[[float], float]
"""How stochastic the step towards a level is: 0 an ODE step, 1 a step of the reverse-time SDE."""


def tau_between(prediction: Prediction, start_percent: float = 0.2, end_percent: float = 0.8, eta: float = 1.0) -> Tau:
    """eta within a part of the denoising, 0 outside."""
    high, low = prediction.percent_to_sigma(start_percent), prediction.percent_to_sigma(end_percent)
    return lambda sigma: eta if low <= sigma <= high else 0.0


def sa_solver(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    tau: Tau | None = None,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    evaluate_corrected: bool = False,
    simple_order_2: bool = False,
) -> Tensor:
    """SA-Solver (Xue et al. 2023, algorithm 1), data prediction, with orders that fall towards the end.

    corrector_order: 0 leaves the prediction as it is. evaluate_corrected: evaluate again after correcting (PECE), two evaluations a
    step. simple_order_2: where the order is 2, the weights of the paper's appendix D instead of the exact integrals.
    """
    prediction = denoiser.prediction
    sigmas = below_all_noise(sigmas, prediction)
    tau = tau or tau_between(prediction)
    log_snr = prediction.log_snr(sigmas)
    last = len(sigmas) - 1
    history: deque[Tensor] = deque(maxlen=max(predictor_order, corrector_order))
    predicted, strength, drawn = x, 0.0, torch.zeros(())
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(predicted, sigma)
        callback(step, predicted, denoised)
        history.append(denoised)
        order = min(corrector_order, len(history), last - step)
        if step == 0 or corrector_order == 0 or (sigma_next == 0 and not evaluate_corrected):
            x = predicted
        else:
            nodes = log_snr[step - order + 1 : step + 1]
            x = _adams(x, history, nodes, sigmas[step - 1 : step + 1], log_snr[step - 1 : step + 1], strength, simple_order_2)
            x = x + drawn
            if evaluate_corrected:
                denoised = history[-1] = denoiser(x, sigma)
        if sigma_next == 0:
            return denoised
        strength = tau(sigma_next.item())
        order = max(1, min(predictor_order, len(history), last - 1 - step))
        drawn = torch.zeros(())
        if strength > 0 and s_noise > 0:
            h = log_snr[step + 1] - log_snr[step]
            drawn = noise(sigma, sigma_next) * sigma_next * (-torch.expm1(-2 * strength**2 * h)).sqrt() * s_noise
        nodes = log_snr[step - order + 1 : step + 1]
        predicted = _adams(x, history, nodes, sigmas[step : step + 2], log_snr[step : step + 2], strength, simple_order_2) + drawn
    return predicted


def _adams(
    x: Tensor, history: Sequence[Tensor], nodes: Tensor, sigmas: Tensor, log_snr: Tensor, strength: float, simple_order_2: bool = False
) -> Tensor:
    """x carried over a step by the polynomial through the last len(nodes) predictions, without its noise.

    nodes: log-SNRs of these predictions; sigmas, log_snr: of both ends of the step.
    """
    h = log_snr[1] - log_snr[0]
    x = sigmas[1] / sigmas[0] * (-(strength**2) * h).exp() * x
    alpha = (sigmas[1] * log_snr[1].exp()).item()
    weigh = simple_weights if simple_order_2 and len(nodes) == 2 else exact_weights
    weights = alpha * weigh(nodes.double(), log_snr.double(), strength)
    for weight, denoised in zip(weights.tolist(), list(history)[-len(nodes) :], strict=True):
        x = x + weight * denoised
    return x


def exact_weights(nodes: Tensor, log_snr: Tensor, strength: float) -> Tensor:
    """Integrals of the Lagrange basis of `nodes` under the step's exponential weight, in float64 (the system is badly conditioned)."""
    rate = 1 + strength**2
    start, end = log_snr
    decay = torch.exp(rate * (start - end))
    integrals = [1 - decay]
    for power in range(1, len(nodes)):
        integrals.append(end**power - decay * start**power - power / rate * integrals[-1])
    powers = nodes ** torch.arange(len(nodes))[:, None]
    return torch.linalg.solve(powers, torch.stack(integrals))


def simple_weights(nodes: Tensor, log_snr: Tensor, strength: float) -> Tensor:
    """The leading terms of `exact_weights` for two nodes: both ends of the step, or its start and the node before it (appendix D)."""
    rate = 1 + strength**2
    start, end = log_snr
    h = end - start
    total = -torch.expm1(-rate * h)
    if nodes[-1] > start:
        return torch.stack([total - rate * h / 2, rate * h / 2])
    older = rate * h**2 / 2 / (nodes[0] - start)
    return torch.stack([older, total - older])
