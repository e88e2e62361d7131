"""The samplers by name."""

from __future__ import annotations

from engine.diffusion.sampling.noise import brownian_noise, brownian_noise_on_device, step_noise
from engine.diffusion.sampling.samplers import (
    ancestral,
    cfgpp,
    dpm2,
    dpm_solver,
    dpmpp,
    er_sde,
    euler,
    exponential,
    heun,
    multistep,
    sa_solver,
    sde,
    seeds,
    unipc,
)
from engine.diffusion.sampling.samplers.sampler import Sampler
from engine.errors import InvalidInput

_heun_type = {"solver_type": "heun"}
_cfg_pp = {"cfg_pp": True}

SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler(euler.euler),
    "euler_cfg_pp": Sampler(cfgpp.euler_ancestral_cfg_pp, step_noise, {"eta": 0.0}, needs_uncond=True),
    "euler_ancestral": Sampler(euler.euler_ancestral, step_noise),
    "euler_ancestral_cfg_pp": Sampler(cfgpp.euler_ancestral_cfg_pp, step_noise, needs_uncond=True),
    "heun": Sampler(heun.heun, evaluations=2),
    "heunpp2": Sampler(heun.heunpp2, evaluations=3),
    "dpm_2": Sampler(dpm2.dpm_2, drop_second_last=True, evaluations=2),
    "dpm_2_ancestral": Sampler(dpm2.dpm_2_ancestral, step_noise, drop_second_last=True, evaluations=2),
    "lms": Sampler(multistep.lms, distinct=True),
    "dpm_fast": Sampler(dpm_solver.dpm_fast),
    "dpm_adaptive": Sampler(dpm_solver.dpm_adaptive, step_noise),
    "dpmpp_2s_ancestral": Sampler(dpmpp.dpmpp_2s_ancestral, step_noise, evaluations=2),
    "dpmpp_2s_ancestral_cfg_pp": Sampler(cfgpp.dpmpp_2s_ancestral_cfg_pp, step_noise, needs_uncond=True, evaluations=2),
    "dpmpp_sde": Sampler(sde.dpmpp_sde, brownian_noise, evaluations=2),
    "dpmpp_sde_gpu": Sampler(sde.dpmpp_sde, brownian_noise_on_device, evaluations=2),
    "dpmpp_2m": Sampler(dpmpp.dpmpp_2m, distinct=True),
    "dpmpp_2m_cfg_pp": Sampler(cfgpp.dpmpp_2m_cfg_pp, needs_uncond=True, distinct=True),
    "dpmpp_2m_sde": Sampler(sde.dpmpp_2m_sde, brownian_noise, distinct=True),
    "dpmpp_2m_sde_gpu": Sampler(sde.dpmpp_2m_sde, brownian_noise_on_device, distinct=True),
    "dpmpp_2m_sde_heun": Sampler(sde.dpmpp_2m_sde, brownian_noise, _heun_type, distinct=True),
    "dpmpp_2m_sde_heun_gpu": Sampler(sde.dpmpp_2m_sde, brownian_noise_on_device, _heun_type, distinct=True),
    "dpmpp_3m_sde": Sampler(sde.dpmpp_3m_sde, brownian_noise, distinct=True),
    "dpmpp_3m_sde_gpu": Sampler(sde.dpmpp_3m_sde, brownian_noise_on_device, distinct=True),
    "ddpm": Sampler(ancestral.ddpm, step_noise),
    "lcm": Sampler(ancestral.lcm, step_noise),
    "ipndm": Sampler(multistep.ipndm),
    "ipndm_v": Sampler(multistep.ipndm_v, distinct=True),
    "deis": Sampler(multistep.deis, distinct=True),
    "res_multistep": Sampler(exponential.res_multistep, step_noise, distinct=True),
    "res_multistep_cfg_pp": Sampler(exponential.res_multistep, step_noise, _cfg_pp, needs_uncond=True, distinct=True),
    "res_multistep_ancestral": Sampler(exponential.res_multistep, step_noise, {"eta": 1.0}, distinct=True),
    "res_multistep_ancestral_cfg_pp": Sampler(
        exponential.res_multistep, step_noise, {"eta": 1.0, **_cfg_pp}, needs_uncond=True, distinct=True
    ),
    "gradient_estimation": Sampler(exponential.gradient_estimation),
    "gradient_estimation_cfg_pp": Sampler(exponential.gradient_estimation, options=_cfg_pp, needs_uncond=True),
    "er_sde": Sampler(er_sde.er_sde, step_noise, distinct=True),
    "seeds_2": Sampler(seeds.seeds_2, step_noise, evaluations=2),
    "seeds_3": Sampler(seeds.seeds_3, step_noise, evaluations=3, distinct=True),
    "sa_solver": Sampler(sa_solver.sa_solver, step_noise, distinct=True),
    "sa_solver_pece": Sampler(sa_solver.sa_solver, step_noise, {"evaluate_corrected": True}, evaluations=2, distinct=True),
    "ddim": Sampler(euler.euler, fresh_mask_noise=True),
    "uni_pc": Sampler(unipc.uni_pc, drop_second_last=True, last_sigma=unipc.LAST_SIGMA, distinct=True),
    "uni_pc_bh2": Sampler(unipc.uni_pc, None, {"variant": "bh2"}, drop_second_last=True, last_sigma=unipc.LAST_SIGMA, distinct=True),
}
"""In the order of ComfyUI's list. Names that end in _gpu draw their Brownian path on the device instead of the CPU."""

SAMPLER_NAMES = tuple(SAMPLERS)


def sampler_of(name: str) -> Sampler:
    """The sampler of this name; an unknown name is an error that lists the known ones."""
    if name not in SAMPLERS:
        raise InvalidInput(f"There is no sampler {name!r}.", hint=f"Choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[name]


__all__ = ["SAMPLERS", "SAMPLER_NAMES", "Sampler", "sampler_of"]
