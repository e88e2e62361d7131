"""Predictions that are set on a model by name, for files that do not say what they predict, or to sample them otherwise."""

from __future__ import annotations

from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.noise_levels import Continuous, Discrete, scaled_linear_alphas, zero_terminal_snr
from engine.diffusion.sampling.prediction import (
    Consistency,
    CosmosFlow,
    Data,
    Epsilon,
    Formula,
    ImageToImage,
    Preconditioned,
    Prediction,
    Velocity,
)

DISTILLED_STRIDE = 20
"""A latent consistency model is told every twentieth timestep (Luo et al. 2023, 50 of 1000)."""

EDM_DEVIATION = 0.5
"""Standard deviation of the data that EDM preconditioning assumes (Karras et al. 2022)."""

PLAYGROUND = LatentFormat(
    scale=tuple(EDM_DEVIATION / deviation for deviation in (8.4927, 5.9022, 6.5498, 5.2299)),
    shift=(-1.6574, 1.886, -1.383, 2.5155),
)
"""The latent space of Playground 2.5: means and deviations per channel, as its diffusers pipeline has them."""


def discrete(sampling: str, zsnr: bool) -> Prediction:
    """The thousand steps of SD1 and SD2. sampling: eps, v_prediction, lcm, x0, img_to_img. zsnr: moved to zero terminal SNR."""
    alphas = scaled_linear_alphas()
    if zsnr:
        alphas = zero_terminal_snr(alphas)
    if sampling == "lcm":
        levels = Discrete(alphas, stride=DISTILLED_STRIDE)
        return Prediction(levels, Consistency(levels=levels))
    formulas: dict[str, Formula] = {"eps": Epsilon(), "v_prediction": Velocity(), "x0": Data(), "img_to_img": ImageToImage()}
    return Prediction(Discrete(alphas), formulas[sampling])


def continuous(sampling: str, low: float, high: float) -> Prediction:
    """Levels between two sigmas. sampling: v_prediction, edm, edm_playground_v2.5, eps, cosmos_rflow."""
    formulas: dict[str, Formula] = {
        "v_prediction": Velocity(),
        "edm": Preconditioned(EDM_DEVIATION),
        "edm_playground_v2.5": Preconditioned(EDM_DEVIATION),
        "eps": Epsilon(),
        "cosmos_rflow": CosmosFlow(),
    }
    return Prediction(Continuous(low, high), formulas[sampling])
