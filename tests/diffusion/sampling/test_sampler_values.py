"""Samplers against values of published implementations on a denoiser of one line: result and number of evaluations.

D_c = tanh(x / sqrt(1 + s^2)), U = D_c / 2 - 0.1, guidance 2; noise and step noise of seed 5; schedule "normal", 6 steps.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.diffusion.sampling.guidance import Guided
from engine.diffusion.sampling.noise import initial_noise
from engine.diffusion.sampling.prediction import Prediction, prediction_of
from engine.diffusion.sampling.samplers import SAMPLER_NAMES, SAMPLERS
from engine.diffusion.sampling.schedules import partial

VALUES = """
euler +1.485838 -1.214336 1.169977 6 +1.444499 -1.112012 0.972516 6
euler_cfg_pp +1.513573 -1.254430 1.273433 6 +1.470659 -1.161172 1.050285 6
euler_ancestral +1.453633 -0.415464 1.116629 6 +1.362754 +0.180905 0.895365 6
euler_ancestral_cfg_pp +1.470525 -0.740088 1.172010 6 +1.309004 +0.935826 0.849288 6
heun +1.158668 -0.420747 1.145810 11 +1.389591 -0.986338 1.293994 11
heunpp2 +1.485533 -1.213812 1.178466 15 +1.444424 -1.112415 0.999687 15
dpm_2 +1.561708 -1.316959 1.208157 11 +1.454628 -1.126932 0.924168 11
dpm_2_ancestral +1.495135 -0.100665 1.140110 11 +1.277980 +0.602575 0.813322 11
lms +1.484419 -1.211261 1.197347 6 +1.447747 -1.121951 1.039317 6
dpm_fast +1.590898 -1.327589 1.289442 6 +1.450108 -1.119754 1.074704 6
dpm_adaptive +1.546326 -1.253651 1.246384 21 +1.449665 -1.117856 1.089667 21
dpmpp_2s_ancestral +1.448290 -0.734327 1.167898 11 +1.413679 +0.292166 0.982858 11
dpmpp_2s_ancestral_cfg_pp +1.458796 -1.010618 1.222839 11 +1.456954 -1.151638 1.237895 11
dpmpp_sde -1.049006 +1.410199 1.114121 11 -0.952887 +1.408115 0.944304 11
dpmpp_2m +1.482931 -1.209568 1.251846 6 +1.468473 -1.168381 1.138961 6
dpmpp_2m_cfg_pp +1.599281 -1.393835 1.448182 6 +1.599997 -1.399843 1.438007 6
dpmpp_2m_sde -1.346133 +1.569047 1.188390 6 -1.065064 +1.597777 1.147184 6
dpmpp_2m_sde_heun -1.396972 +1.597364 1.229630 6 -1.159588 +1.599946 1.261911 6
dpmpp_3m_sde -1.400000 +1.599990 1.283766 6 +1.299050 +1.599997 1.380361 6
ddpm +1.453634 -0.415464 1.116629 6 +1.457294 -1.000967 1.065906 6
lcm +1.390804 +1.320332 0.981793 6 +0.980902 +1.110827 0.746825 6
ipndm +1.483987 -1.210128 1.207653 6 +1.447979 -1.121092 1.011677 6
ipndm_v +1.485052 -1.211880 1.207621 6 +1.465672 -1.157074 1.039430 6
deis +1.483926 -1.210037 1.207551 6 +1.448208 -1.122801 1.033789 6
res_multistep +1.481610 -1.207284 1.277798 6 +1.479570 -1.193619 1.195773 6
res_multistep_cfg_pp +0.852583 -0.786810 0.726997 6 +0.774690 -0.753852 0.815431 6
res_multistep_ancestral +1.342444 +1.517985 1.206732 6 +1.289461 +0.696970 1.270014 6
res_multistep_ancestral_cfg_pp -0.139123 +0.939412 0.689074 6 +0.491493 -0.011186 0.648820 6
gradient_estimation +1.484145 -1.210964 1.216797 6 +1.449129 -1.123873 1.016203 6
gradient_estimation_cfg_pp +1.252516 -1.028803 1.012776 6 +1.123596 -0.950037 0.941224 6
er_sde +1.491014 -1.188564 1.236062 6 +1.433966 -0.630539 1.005652 6
seeds_2 +1.435521 +1.412049 1.139135 11 +0.993769 +1.378063 0.972553 11
seeds_3 +1.500825 -0.286953 1.175228 16 -0.293359 -1.089965 1.059677 16
sa_solver +1.455862 +0.484927 1.151585 6 +1.419573 +0.107062 0.950380 6
sa_solver_pece +1.448668 +0.825694 1.164953 11 +1.437603 +0.244487 1.006756 11
ddim +1.485838 -1.214336 1.169977 6 +1.444499 -1.112012 0.972516 6
uni_pc +1.563563 -1.318866 1.209844 6 +1.457126 -1.129809 0.927015 6
uni_pc_bh2 +1.563536 -1.318704 1.205984 6 +1.456750 -1.128961 0.924593 6
"""
"""Sampler, then twice (added noise, flow): out[0, 0, 0, 0], out[0, 1, 2, 3], deviation of out, evaluations."""

ROWS = [line.split() for line in VALUES.strip().splitlines()]
CASES = [(row[0], kind, row[first : first + 4]) for row in ROWS for kind, first in (("eps", 1), ("flow_sd3", 5))]


class Denoiser:
    def __init__(self, prediction: Prediction) -> None:
        self.prediction, self.calls = prediction, 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.guided(x, sigma).denoised

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        self.calls += 1
        cond = torch.tanh(x / (1 + sigma**2).sqrt())
        uncond = 0.5 * cond - 0.1
        return Guided(uncond + 2.0 * (cond - uncond), uncond)


@pytest.mark.parametrize(("name", "kind", "values"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_values(name: str, kind: str, values: list[str]) -> None:
    sampler = SAMPLERS[name]
    denoiser = Denoiser(prediction_of(kind))
    sigmas = partial("normal", denoiser.prediction, 6, drop_second_last=sampler.drop_second_last)
    noise = initial_noise((1, 4, 8, 8), 5)
    x = denoiser.prediction.start(sigmas[0], noise, torch.zeros_like(noise))
    options = dict(sampler.options)
    if sampler.noise:
        options["noise"] = sampler.noise(x, 5, sigmas)
    if sampler.last_sigma:
        sigmas[-1] = sampler.last_sigma
    out = denoiser.prediction.finish(sampler.function(denoiser, x, sigmas, **options), sigmas[-1])
    assert [out[0, 0, 0, 0].item(), out[0, 1, 2, 3].item(), out.std().item()] == pytest.approx(
        [float(value) for value in values[:3]], abs=2e-4
    )
    assert denoiser.calls == int(values[3])


def test_every_sampler_has_values() -> None:
    assert {row[0] for row in ROWS} == {name for name in SAMPLER_NAMES if not name.endswith("_gpu")}
