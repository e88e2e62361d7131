"""Sampling algorithms as values, each with its options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.diffusion.model_options import prediction
from engine.diffusion.sampling.samplers import Sampler, sampler_of
from engine.diffusion.sampling.samplers.cfgpp import euler_cfg_pp_alternative
from engine.diffusion.sampling.samplers.er_sde import er_sde_scale
from engine.diffusion.sampling.samplers.growing import SizedNoise, lcm_upscale
from engine.diffusion.sampling.samplers.sa_solver import tau_between
from engine.graph import Alias, Widget, node
from engine.values.model import Model
from nodes.sampling import SamplerName
from nodes.sampling_values import RunSampler

CATEGORY = "sampling/custom_sampling/samplers"
Number = Annotated[float, Field(ge=0, le=100), Widget(step=0.01, round=False)]
Fraction = Annotated[float, Field(ge=0, le=1), Widget(step=0.001)]
Device = Literal["gpu", "cpu"]


@node("KSamplerSelect", category=CATEGORY, display_name="Select Sampler")
def select_sampler(sampler_name: SamplerName) -> RunSampler:
    """A sampler by its name, with its usual options."""
    return sampler_of(sampler_name)


@node("SamplerEulerAncestral", category=CATEGORY, display_name="Sampler Euler Ancestral")
def euler_ancestral(eta: Number = 1.0, s_noise: Number = 1.0) -> RunSampler:
    """Euler steps, each followed by fresh noise.

    eta: how much of each step is noise; 0 is plain Euler.
    s_noise: strength of that noise.
    """
    return sampler_of("euler_ancestral").with_options(eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", category=CATEGORY, display_name="Sampler Euler Ancestral CFG++")
def euler_ancestral_cfg_pp(
    eta: Annotated[float, Field(ge=0, le=1), Widget(step=0.01, round=False)] = 1.0,
    s_noise: Annotated[float, Field(ge=0, le=10), Widget(step=0.01, round=False)] = 1.0,
) -> RunSampler:
    """Euler steps with fresh noise, guided as CFG++ does; use a cfg of about 1.

    eta: how much of each step is noise.
    s_noise: strength of that noise.
    """
    return sampler_of("euler_ancestral_cfg_pp").with_options(eta=eta, s_noise=s_noise)


@node("SamplerEulerCFGpp", category=CATEGORY, display_name="Sampler Euler CFG++", experimental=True)
def euler_cfg_pp(version: Literal["regular", "alternative"]) -> RunSampler:
    """Euler steps guided as CFG++ does; use a cfg of about 1."""
    return sampler_of("euler_cfg_pp") if version == "regular" else Sampler(euler_cfg_pp_alternative, needs_uncond=True)


@node("SamplerLMS", category=CATEGORY, display_name="Sampler LMS")
def lms(order: Annotated[int, Field(ge=1, le=100)] = 4) -> RunSampler:
    """Linear multistep.

    order: how many steps it remembers.
    """
    return sampler_of("lms").with_options(order=order)


@node("SamplerDPMPP_2S_Ancestral", category=CATEGORY, display_name="Sampler DPM++ 2S Ancestral")
def dpmpp_2s_ancestral(eta: Number = 1.0, s_noise: Number = 1.0) -> RunSampler:
    """DPM-Solver++ with two evaluations a step, and fresh noise.

    eta: how much of each step is noise.
    s_noise: strength of that noise.
    """
    return sampler_of("dpmpp_2s_ancestral").with_options(eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category=CATEGORY, display_name="Sampler DPM++ SDE")
def dpmpp_sde(eta: Number = 1.0, s_noise: Number = 1.0, r: Number = 0.5, noise_device: Device = "gpu") -> RunSampler:
    """DPM-Solver++ for the stochastic equation, two evaluations a step.

    eta: how much of each step is noise.
    s_noise: strength of that noise.
    r: where in a step the second evaluation lies.
    noise_device: cpu gives the same picture on every device.
    """
    return _brownian("dpmpp_sde", noise_device).with_options(eta=eta, s_noise=s_noise, r=r)


@node("SamplerDPMPP_2M_SDE", category=CATEGORY, display_name="Sampler DPM++ 2M SDE")
def dpmpp_2m_sde(
    solver_type: Literal["midpoint", "heun"], eta: Number = 1.0, s_noise: Number = 1.0, noise_device: Device = "gpu"
) -> RunSampler:
    """DPM-Solver++ for the stochastic equation that remembers one step.

    eta: how much of each step is noise.
    s_noise: strength of that noise.
    noise_device: cpu gives the same picture on every device.
    """
    return _brownian("dpmpp_2m_sde", noise_device).with_options(solver_type=solver_type, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_3M_SDE", category=CATEGORY, display_name="Sampler DPM++ 3M SDE")
def dpmpp_3m_sde(eta: Number = 1.0, s_noise: Number = 1.0, noise_device: Device = "gpu") -> RunSampler:
    """DPM-Solver++ for the stochastic equation that remembers two steps.

    eta: how much of each step is noise.
    s_noise: strength of that noise.
    noise_device: cpu gives the same picture on every device.
    """
    return _brownian("dpmpp_3m_sde", noise_device).with_options(eta=eta, s_noise=s_noise)


def _brownian(name: str, device: Device) -> Sampler:
    return sampler_of(f"{name}_gpu" if device == "gpu" else name)


@node("SamplerDPMAdaptive", category=CATEGORY, display_name="Sampler DPM Adaptive", aliases=(Alias("SamplerDPMAdaptative"),))
def dpm_adaptive(
    order: Annotated[int, Field(ge=2, le=3)] = 3,
    rtol: Number = 0.05,
    atol: Number = 0.0078,
    h_init: Number = 0.05,
    pcoeff: Number = 0.0,
    icoeff: Number = 1.0,
    dcoeff: Number = 0.0,
    accept_safety: Number = 0.81,
    eta: Number = 0.0,
    s_noise: Number = 1.0,
) -> RunSampler:
    """DPM-Solver that chooses its own steps between the first and the last noise level.

    rtol, atol: relative and absolute error allowed in a step.
    h_init: the first step, in log sigma.
    pcoeff, icoeff, dcoeff: of the controller of the step.
    accept_safety: a step is taken if the controller asks for at least this share of it.
    """
    return sampler_of("dpm_adaptive").with_options(
        order=order,
        rtol=rtol,
        atol=atol,
        h_init=h_init,
        pcoeff=pcoeff,
        icoeff=icoeff,
        dcoeff=dcoeff,
        accept_safety=accept_safety,
        eta=eta,
        s_noise=s_noise,
    )


@node("SamplerER_SDE", category=CATEGORY, display_name="Sampler ER-SDE")
def er_sde(
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"],
    max_stage: Annotated[int, Field(ge=1, le=3)] = 3,
    eta: Number = 1.0,
    s_noise: Number = 1.0,
) -> RunSampler:
    """Extended reverse-time SDE solver.

    max_stage: its order.
    eta: how much noise the reverse-time SDE has.
    s_noise: strength of the noise.
    """
    if solver_type == "ER-SDE":
        return sampler_of("er_sde").with_options(max_stage=max_stage, s_noise=s_noise, noise_scale=er_sde_scale)
    if solver_type == "ODE" or eta == 0:
        return sampler_of("er_sde").with_options(max_stage=max_stage, s_noise=0.0, noise_scale=lambda level: level)
    return sampler_of("er_sde").with_options(max_stage=max_stage, s_noise=s_noise, noise_scale=lambda level: level ** (eta + 1))


@node("SamplerSASolver", category=CATEGORY, display_name="Sampler SA-Solver")
def sa_solver(
    model: Model,
    eta: Annotated[float, Field(ge=0, le=10), Widget(step=0.01, round=False)] = 1.0,
    sde_start_percent: Fraction = 0.2,
    sde_end_percent: Fraction = 0.8,
    s_noise: Number = 1.0,
    predictor_order: Annotated[int, Field(ge=1, le=6)] = 3,
    corrector_order: Annotated[int, Field(ge=0, le=6)] = 4,
    *,
    use_pece: bool,
    simple_order_2: bool,
) -> RunSampler:
    """Stochastic Adams solver.

    model: whose noise levels the two percentages mean.
    eta: how much noise there is between them.
    sde_start_percent, sde_end_percent: part of the denoising in which noise is added.
    use_pece: evaluate again after each correction, which takes twice as long.
    simple_order_2: simpler weights where the order is 2.
    """
    tau = tau_between(prediction(model), sde_start_percent, sde_end_percent, eta)
    return sampler_of("sa_solver").with_options(
        tau=tau,
        s_noise=s_noise,
        predictor_order=predictor_order,
        corrector_order=corrector_order,
        evaluate_corrected=use_pece,
        simple_order_2=simple_order_2,
    )


@node("SamplerLCMUpscale", category=CATEGORY, display_name="Sampler LCM Upscale")
def lcm_upscaling(
    scale_ratio: Annotated[float, Field(ge=0.1, le=20), Widget(step=0.01)] = 1.0,
    scale_steps: Annotated[int, Field(ge=-1, le=1000), Widget(step=1)] = -1,
    upscale_method: Literal["bislerp", "nearest-exact", "bilinear", "area", "bicubic"] = "bislerp",
) -> RunSampler:
    """LCM steps between which the latent image grows.

    scale_ratio: final size to first size.
    scale_steps: over how many steps it grows; -1 is half of them.
    """
    steps = None if scale_steps < 0 else scale_steps
    return Sampler(lcm_upscale, SizedNoise, {"ratio": scale_ratio, "steps": steps, "method": upscale_method})
