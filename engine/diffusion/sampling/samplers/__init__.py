"""The samplers by name."""

from __future__ import annotations

from engine.diffusion.sampling.noise import brownian_noise, brownian_noise_on_device, step_noise
from engine.diffusion.sampling.samplers import dpmpp, euler, heun, sde
from engine.diffusion.sampling.samplers.sampler import Sampler
from engine.errors import EaselError

SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler(euler.euler),
    "euler_ancestral": Sampler(euler.euler_ancestral, step_noise),
    "heun": Sampler(heun.heun),
    "dpmpp_2m": Sampler(dpmpp.dpmpp_2m),
    "dpmpp_2m_sde": Sampler(sde.dpmpp_2m_sde, brownian_noise),
    "dpmpp_2m_sde_gpu": Sampler(sde.dpmpp_2m_sde, brownian_noise_on_device),
    "ddim": Sampler(euler.euler, fresh_mask_noise=True),
}
SAMPLER_NAMES = tuple(SAMPLERS)


def sampler_of(name: str) -> Sampler:
    """The sampler of this name; an unknown name is an error that lists the known ones."""
    if name not in SAMPLERS:
        raise EaselError(f"There is no sampler {name!r}.", hint=f"Choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[name]


__all__ = ["SAMPLERS", "SAMPLER_NAMES", "Sampler", "sampler_of"]
