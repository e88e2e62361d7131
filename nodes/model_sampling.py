"""What a model predicts, and between which noise levels: each node gives another model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.diffusion.model_options import with_prediction
from engine.diffusion.sampling.noise_levels import ContinuousAngle, Cosine, Flow, FluxFlow, flux_shift
from engine.diffusion.sampling.other_predictions import PLAYGROUND, continuous, discrete
from engine.diffusion.sampling.prediction import Epsilon, FlowVelocity, Prediction, Velocity
from engine.graph import Widget, node
from engine.values.model import Model

Level = Annotated[float, Field(ge=0, le=1000), Widget(step=0.001, round=False)]
Shift = Annotated[float, Field(ge=0, le=100), Widget(step=0.01)]
Side = Annotated[int, Field(ge=16, le=16_384), Widget(step=8)]


@node("ModelSamplingDiscrete", category="advanced/model", display_name="Model Sampling Discrete")
def model_sampling_discrete(model: Model, sampling: Literal["eps", "v_prediction", "lcm", "x0", "img_to_img"], zsnr: bool = False) -> Model:
    """Say what a model of a thousand steps predicts, where its file does not.

    sampling: eps is the noise (SD1), v_prediction the velocity (SD2), lcm a consistency model, x0 the picture itself.
    zsnr: for models trained down to pure noise.
    """
    return with_prediction(model, discrete(sampling, zsnr))


@node("ModelSamplingContinuousEDM", category="advanced/model", display_name="Model Sampling Continuous EDM")
def model_sampling_continuous_edm(
    model: Model,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow"],
    sigma_max: Level = 120.0,
    sigma_min: Level = 0.002,
) -> Model:
    """Say that a model knows any noise level between two, and what it predicts."""
    changed = with_prediction(model, continuous(sampling, sigma_min, sigma_max))
    return changed.with_options(latent_format=PLAYGROUND) if sampling == "edm_playground_v2.5" else changed


@node("ModelSamplingContinuousV", category="advanced/model", display_name="Model Sampling Continuous V")
def model_sampling_continuous_v(
    model: Model, sampling: Literal["v_prediction"], sigma_max: Level = 500.0, sigma_min: Level = 0.03
) -> Model:
    """Say that a model predicts velocities and is told the noise level as an angle."""
    return with_prediction(model, Prediction(ContinuousAngle(sigma_min, sigma_max), Velocity()))


@node("ModelSamplingSD3", category="advanced/model", display_name="Model Sampling SD3")
def model_sampling_sd3(model: Model, shift: Shift = 3.0) -> Model:
    """Move the steps of a flow model such as SD3 towards noise, as larger pictures need.

    shift: 1 spaces them evenly.
    """
    return with_prediction(model, Prediction(Flow(shift=shift), FlowVelocity()))


@node("ModelSamplingAuraFlow", category="advanced/model", display_name="Model Sampling AuraFlow")
def model_sampling_aura_flow(model: Model, shift: Shift = 1.73) -> Model:
    """Move the steps of a flow model that is told a time from 0 to 1, such as AuraFlow, towards noise.

    shift: 1 spaces them evenly.
    """
    return with_prediction(model, Prediction(Flow(shift=shift, multiplier=1.0), FlowVelocity()))


@node("ModelSamplingFlux", category="advanced/model", display_name="Model Sampling Flux")
def model_sampling_flux(model: Model, max_shift: Shift = 1.15, base_shift: Shift = 0.5, width: Side = 1024, height: Side = 1024) -> Model:
    """Move the steps of Flux towards noise according to the size of the picture.

    base_shift, max_shift: for pictures of 256 x 256 and of 1024 x 1024 pixels.
    """
    return with_prediction(model, Prediction(FluxFlow(shift=flux_shift(width, height, base_shift, max_shift)), FlowVelocity()))


@node("ModelSamplingStableCascade", category="advanced/model", display_name="Model Sampling Stable Cascade")
def model_sampling_stable_cascade(model: Model, shift: Shift = 2.0) -> Model:
    """Move the steps of Stable Cascade towards noise."""
    return with_prediction(model, Prediction(Cosine(shift=shift), Epsilon()))
