"""What a model value says about its use: the prediction in force, and the guidance hung on it."""

from __future__ import annotations

from typing import Any

from engine.diffusion.families import KINDS
from engine.diffusion.sampling.guidance import GuidanceOptions
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.prediction import Prediction, prediction_of
from engine.values.model import Model


def prediction(model: Model) -> Prediction:
    """The model's own prediction, or the one set on it."""
    return model.options.get("prediction") or prediction_of(KINDS[model.weights.family].prediction)


def latent_format(model: Model) -> LatentFormat:
    """The latent space of the model's family, or the one set on it."""
    return model.options.get("latent_format") or KINDS[model.weights.family].latent_format


def guidance(model: Model) -> GuidanceOptions:
    return model.options.get("guidance") or GuidanceOptions()


def with_guidance(model: Model, **hooks: Any) -> Model:
    """The model with more hung on its guidance; the names are those of GuidanceOptions.adding."""
    return model.with_options(guidance=guidance(model).adding(**hooks))


def with_prediction(model: Model, changed: Prediction) -> Model:
    return model.with_options(prediction=changed)
