"""Replay of guiders.json: guidance, other noise levels and custom sampling on the toy network, compared with guiders.safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.guidance.cfg import (
    TCFG,
    AdaptiveProjectedGuidance,
    CFGNorm,
    CFGZeroStar,
    EpsilonScaling,
    FreSca,
    Mahiro,
    RescaleCFG,
)
from engine.diffusion.guidance.differential import DifferentialDiffusion
from engine.diffusion.guidance.guiders import DualCFG, PerpNeg, PerpNegGuider
from engine.diffusion.guidance.latent_operations import OperationOnGuidance, Sharpen, ToneMap
from engine.diffusion.sampling.guidance import CFG, GuidanceOptions, Guider
from engine.diffusion.sampling.model import DiffusionModel
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.noise_levels import Continuous, Discrete, Flow, FluxFlow, flux_shift, scaled_linear_alphas, zero_terminal_snr
from engine.diffusion.sampling.prediction import Consistency, Data, Epsilon, FlowVelocity, Preconditioned, Prediction, Velocity
from engine.diffusion.sampling.sample import Sampled, sample_custom
from engine.diffusion.sampling.samplers import SAMPLERS, Sampler
from engine.diffusion.sampling.schedules import beta, karras_range, partial, turbo, variance_preserving
from engine.values.conditioning import Condition, Conditioning
from engine.values.latent import Latent
from tests.reference.result import Result, Selection, attempt, compared, figures_of, missing
from tests.reference.toy import latent_tolerance, starting_latent, toy_model

PART = "guiders"
SIGMAS_TOLERANCE = 1e-5
Arguments = Mapping[str, Any]

OPTIONS: dict[str, Callable[[Arguments, Conditioning], GuidanceOptions]] = {
    "RescaleCFG": lambda args, empty: GuidanceOptions(combine=RescaleCFG(**args)),
    "CFGZeroStar": lambda args, empty: GuidanceOptions(after=(CFGZeroStar(),)),
    "CFGNorm": lambda args, empty: GuidanceOptions(after=(CFGNorm(**args),)),
    "TCFG": lambda args, empty: GuidanceOptions(before=(TCFG(),)),
    "Mahiro": lambda args, empty: GuidanceOptions(after=(Mahiro(),)),
    "APG": lambda args, empty: GuidanceOptions(before=(AdaptiveProjectedGuidance(**args),)),
    "PerpNeg": lambda args, empty: GuidanceOptions(combine=PerpNeg(empty, args["neg_scale"])),
    "FreSca": lambda args, empty: GuidanceOptions(before=(FreSca(**args),)),
    "Epsilon Scaling": lambda args, empty: GuidanceOptions(after=(EpsilonScaling(**args),)),
    "DifferentialDiffusion": lambda args, empty: GuidanceOptions(mask=DifferentialDiffusion(**args)),
    "LatentApplyOperationCFG": lambda args, empty: GuidanceOptions(before=(OperationOnGuidance(_operation(args)),)),
}


def _operation(args: Arguments) -> ToneMap | Sharpen:
    if args["operation"] == "LatentOperationTonemapReinhard":
        return ToneMap(args["multiplier"])
    return Sharpen(args["sharpen_radius"], args["sigma"], args["alpha"])


def _discrete(args: Arguments) -> Prediction:
    levels = Discrete(zero_terminal_snr(scaled_linear_alphas())) if args["zsnr"] else Discrete()
    if args["sampling"] == "lcm":
        levels = Discrete(levels.alphas, stride=20)
        return Prediction(levels, Consistency(levels=levels))
    return Prediction(levels, {"eps": Epsilon, "v_prediction": Velocity, "x0": Data}[args["sampling"]]())


def _continuous(args: Arguments) -> Prediction:
    formula = {"eps": Epsilon(), "v_prediction": Velocity(), "edm": Preconditioned(0.5)}[args["sampling"]]
    return Prediction(Continuous(args["sigma_min"], args["sigma_max"]), formula)


PREDICTIONS: dict[str, Callable[[Arguments], Prediction]] = {
    "ModelSamplingDiscrete": _discrete,
    "ModelSamplingContinuousEDM": _continuous,
    "ModelSamplingSD3": lambda args: Prediction(Flow(shift=args["shift"]), FlowVelocity()),
    "ModelSamplingFlux": lambda args: Prediction(
        FluxFlow(shift=flux_shift(args["width"], args["height"], args["base_shift"], args["max_shift"])), FlowVelocity()
    ),
}

SAMPLER_NODES = {
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
    "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde",
    "SamplerDPMPP_SDE": "dpmpp_sde",
    "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
    "SamplerEulerAncestral": "euler_ancestral",
    "SamplerLMS": "lms",
}

SCHEDULER_NODES: dict[str, Callable[[Prediction, Arguments], Tensor]] = {
    "SDTurboScheduler": lambda prediction, args: turbo(prediction, args["steps"], args["denoise"]),
    "BetaSamplingScheduler": lambda prediction, args: beta(prediction, args["steps"], args["alpha"], args["beta"]),
    "KarrasScheduler": lambda prediction, args: karras_range(args["steps"], args["sigma_min"], args["sigma_max"], args["rho"]),
    "VPScheduler": lambda prediction, args: variance_preserving(args["steps"], args["beta_d"], args["beta_min"], args["eps_s"]),
}

GUIDERS = ("BasicGuider", "CFGGuider", "DualCFGGuider", "PerpNegGuider")


def replay(directory: Path, selection: Selection) -> Iterable[Result]:
    path = directory / "guiders.json"
    if not path.exists():
        return
    tensors = figures_of(directory / "guiders.safetensors")
    prompts = figures_of(directory / "latents.safetensors")
    known = (*OPTIONS, *PREDICTIONS, *SAMPLER_NODES, *SCHEDULER_NODES, *GUIDERS, "SplitSigmas")
    for case in json.loads(path.read_text()):
        if not selection.takes(kind=case["kind"], sampler=case.get("sampler")):
            continue
        if case["node"] not in known:
            yield missing(PART, case["name"], "unknown node")
            continue
        yield attempt(PART, case["name"], lambda case=case: _case(case, tensors, prompts))
    for key in sorted(key for key in tensors if key.endswith("/sigmas")):
        kind, node, _ = key.split("/")
        records = [case for case in json.loads(path.read_text()) if case["kind"] == kind and case["node"] == node]
        if records and selection.takes(kind=kind):
            sigmas = SCHEDULER_NODES[node](toy_model(kind).prediction, records[0]["args"])
            yield compared(PART, key, sigmas, tensors[key], SIGMAS_TOLERANCE, key=key)


def _case(case: Mapping[str, Any], tensors: Mapping[str, Tensor], prompts: Mapping[str, Tensor]) -> Result:
    name = case["name"]
    sampled = run(case, [Conditioning([Condition(prompts[f"cond/{k}"])]) for k in (1, 2, 3, 4)], tensors[name].shape)
    got = sampled.denoised if name.endswith("/denoised") else sampled.output
    sampler = SAMPLER_NODES.get(case["node"], case.get("sampler", "euler"))
    return compared(PART, name, got.samples, tensors[name], latent_tolerance(sampler), key=name)


def run(case: Mapping[str, Any], prompts: list[Conditioning], shape: torch.Size) -> Sampled:
    """One case. prompts: positive, negative, third and empty; shape: of its result."""
    node, args = case["node"], case.get("args", {})
    model = _model(case["kind"], node, args, prompts[3])
    latent, enabled = _latent(node, args, shape)
    return sample_custom(
        model,
        _guider(node, args, case["cfg"], prompts),
        _sampler(node, args, case.get("sampler", "euler")),
        _sigmas(model.prediction, node, args, case),
        latent,
        noise=Noise(case["seed"], enabled),
    )


def _model(kind: str, node: str, args: Arguments, empty: Conditioning) -> DiffusionModel:
    model = toy_model(kind)
    if node in OPTIONS:
        model = replace(model, options=OPTIONS[node](args, empty))
    if node in PREDICTIONS:
        model = replace(model, prediction=PREDICTIONS[node](args))
    return model


def _latent(node: str, args: Arguments, shape: torch.Size) -> tuple[Latent, bool]:
    """The latent to start from, and whether it gets noise."""
    batch, channels, height, width = shape
    if node == "DifferentialDiffusion":
        ramp = torch.linspace(0, 1, 8 * width).expand(1, 1, 8 * height, -1)
        return Latent(starting_latent(channels, height, width), ramp), True
    if args.get("latent") == "R":
        return Latent(starting_latent(channels, height, width)), args.get("noise") != "disabled"
    return Latent(torch.zeros(batch, channels, height, width)), args.get("noise") != "disabled"


def _guider(node: str, args: Arguments, scale: float, prompts: list[Conditioning]) -> Guider:
    positive, negative, third, empty = prompts
    if node == "BasicGuider":
        return CFG(positive)
    if node == "DualCFGGuider":
        return DualCFG(positive, third, negative, scale, args["cfg_cond2_negative"], args["style"])
    if node == "PerpNegGuider":
        return PerpNegGuider(positive, negative, empty, scale, args["neg_scale"])
    return CFG(positive, negative, scale)


def _sampler(node: str, args: Arguments, name: str) -> Sampler:
    if node not in SAMPLER_NODES:
        return SAMPLERS[name]
    options = {key: value for key, value in args.items() if key != "noise_device"}
    return SAMPLERS[SAMPLER_NODES[node]].with_options(**options)


def _sigmas(prediction: Prediction, node: str, args: Arguments, case: Mapping[str, Any]) -> Tensor:
    if node in SCHEDULER_NODES:
        return SCHEDULER_NODES[node](prediction, args)
    sigmas = partial("normal", prediction, case["steps"], case.get("denoise", 1.0))
    if node == "SplitSigmas":
        return sigmas[: args["step"] + 1] if args["half"] == "high" else sigmas[args["step"] :]
    return sigmas
