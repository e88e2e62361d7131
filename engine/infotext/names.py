"""AUTOMATIC1111's names of samplers and schedules, and ours."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

SAMPLERS = {
    "Euler": "euler",
    "Euler a": "euler_ancestral",
    "DPM++ 2M": "dpmpp_2m",
    "DPM++ SDE": "dpmpp_sde",
    "DPM++ 2M SDE": "dpmpp_2m_sde",
    "DPM++ 2M SDE Heun": "dpmpp_2m_sde_heun",
    "DPM++ 2S a": "dpmpp_2s_ancestral",
    "DPM++ 3M SDE": "dpmpp_3m_sde",
    "LMS": "lms",
    "Heun": "heun",
    "HeunPP2": "heunpp2",
    "DPM2": "dpm_2",
    "DPM2 a": "dpm_2_ancestral",
    "DPM fast": "dpm_fast",
    "DPM adaptive": "dpm_adaptive",
    "DDIM": "ddim",
    "UniPC": "uni_pc",
    "LCM": "lcm",
    "DDPM": "ddpm",
    "DEIS": "deis",
    "IPNDM": "ipndm",
    "IPNDM_V": "ipndm_v",
    "ER SDE": "er_sde",
    "Res Multistep": "res_multistep",
    "SA Solver": "sa_solver",
    "Gradient Estimation": "gradient_estimation",
}
SUBSTITUTES = {"Restart": "heun", "PLMS": "ipndm", "DDIM CFG++": "euler_cfg_pp"}
"""Samplers that only A1111 has, and the nearest of ours."""
SCHEDULES = {
    "Uniform": "normal",
    "Normal": "normal",
    "Karras": "karras",
    "Exponential": "exponential",
    "Polyexponential": "exponential",
    "SGM Uniform": "sgm_uniform",
    "KL Optimal": "kl_optimal",
    "Simple": "simple",
    "DDIM": "ddim_uniform",
    "Beta": "beta",
    "Linear Quadratic": "linear_quadratic",
}
AUTOMATIC = {
    **dict.fromkeys(("dpmpp_2m", "dpmpp_sde", "dpmpp_2s_ancestral", "dpm_2", "dpm_2_ancestral"), "karras"),
    **dict.fromkeys(("dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"), "exponential"),
    "ddim": "ddim_uniform",
}
"""The schedule that a sampler has when none is named; others have `normal`."""
SECOND_ORDER = frozenset({"heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde"})
"""Samplers of which A1111 counts evaluations instead of steps."""
UNNAMED = ("Automatic", "Use same scheduler", "")


class Choice(NamedTuple):
    """Our sampler and schedule. notes: what is not the same as asked for."""

    sampler: str
    scheduler: str
    notes: tuple[str, ...] = ()


def ours(sampler: str, schedule: str) -> Choice:
    """A1111's names as ours; also old names such as "DPM++ 2M Karras", and our own. What is unknown becomes the nearest there is."""
    name, schedule = _split(sampler.strip()[:100], schedule.strip()[:100])
    found, notes = _sampler(name)
    if schedule in UNNAMED:
        return Choice(found, AUTOMATIC.get(found, "normal"), notes)
    known = {**{key.lower(): value for key, value in SCHEDULES.items()}, **{value: value for value in SCHEDULES.values()}}
    scheduler = known.get(schedule.lower())
    if scheduler is None:
        scheduler = AUTOMATIC.get(found, "normal")
        notes += (f"There is no schedule {schedule!r} here; {scheduler} takes its place.",)
    return Choice(found, scheduler, notes)


def theirs(sampler: str, scheduler: str) -> tuple[str, str]:
    """Our names as (Sampler, Schedule type); what A1111 does not know keeps our name."""
    names = {value: key for key, value in reversed(SAMPLERS.items())}
    schedules = {value: key for key, value in reversed(SCHEDULES.items())}
    return names.get(sampler.removesuffix("_gpu"), sampler), schedules.get(scheduler, scheduler)


def _split(name: str, schedule: str) -> tuple[str, str]:
    """Versions before 1.9 wrote the schedule behind the sampler."""
    for ending in ("Karras", "Exponential", "SGM Uniform"):
        if schedule in UNNAMED and name.endswith(f" {ending}"):
            return name.removesuffix(f" {ending}"), ending
    return name, schedule


def _sampler(name: str) -> tuple[str, tuple[str, ...]]:
    known = {**{key.lower(): value for key, value in SAMPLERS.items()}, **{value: value for value in SAMPLERS.values()}}
    if (found := known.get(name.lower())) is not None:
        return found, ()
    substitutes = {key.lower(): value for key, value in SUBSTITUTES.items()}
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    found = substitutes.get(name.lower()) or (known[near[0]] if near else "euler")
    return found, (f"There is no sampler {name!r} here; {found} takes its place.",) if name else ()
