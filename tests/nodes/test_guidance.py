"""The nodes of guidance, noise levels, samplers and guiders give what ComfyUI's gave on the toy network."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.diffusion.model_options import guidance, prediction
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.prediction import prediction_of
from engine.diffusion.sampling.sample import sample_custom
from engine.graph.registry import Registry
from engine.values.conditioning import Condition, Conditioning
from engine.values.latent import Latent
from engine.values.model import Model
from engine.values.weights import Weights
from nodes.custom_sampling import add_noise, basic_guider, cfg_guider, disable_noise, random_noise
from nodes.model_sampling import model_sampling_aura_flow, model_sampling_continuous_edm, model_sampling_continuous_v
from nodes.samplers import er_sde, lcm_upscaling, sa_solver, select_sampler
from nodes.sigmas import basic_scheduler, sampling_percent_to_sigma
from tests.reference.toy import latent_tolerance, starting_latent, toy_model

FIGURES = Path(__file__).parents[1] / "data" / "reference"
TENSORS = load_file(FIGURES / "guiders.safetensors")
WORDS = load_file(FIGURES / "latents.safetensors")
PROMPTS = [Conditioning([Condition(WORDS[f"cond/{k}"])]) for k in (1, 2, 3, 4)]
KINDS = ("eps", "flow_sd3")
OPERATIONS = {"LatentOperationTonemapReinhard": ("multiplier",), "LatentOperationSharpen": ("sharpen_radius", "sigma", "alpha")}
SAMPLER_NODES = {
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde", "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde", "SamplerDPMPP_SDE": "dpmpp_sde",
    "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral", "SamplerEulerAncestral": "euler_ancestral", "SamplerLMS": "lms",
}  # fmt: skip
CASES = [case for case in json.loads((FIGURES / "guiders.json").read_text()) if case["kind"] in KINDS]


def model_of(kind: str) -> Model:
    return Model(Weights("sd15", "unet", (), "", "{}")).with_options(prediction=prediction_of(kind))


@pytest.fixture(scope="module")
def call():
    registry = Registry()
    registry.load_package("nodes")
    catalogue = registry.catalogue()

    def call(name, **arguments):
        definition = registry.definition(catalogue.find(name)[0].id)
        outputs = definition.unpack(definition.function(**arguments))[1]
        return outputs[0] if len(outputs) == 1 else outputs

    return call


def patched(call, model: Model, node: str, args: dict) -> Model:
    if node in OPERATIONS or node == "LatentApplyOperationCFG":
        name = args["operation"]
        return call(node, model=model, operation=call(name, **{key: args[key] for key in OPERATIONS[name]}))
    extra = {"empty_conditioning": PROMPTS[3]} if node == "PerpNeg" else {}
    return call(node, model=model, **args, **extra)


def guider_of(call, node: str, args: dict, model: Model, cfg: float):
    positive, negative, third, empty = PROMPTS
    if node == "BasicGuider":
        return basic_guider(model, positive)
    if node == "DualCFGGuider":
        return call(node, model=model, cond1=positive, cond2=third, negative=negative, cfg_conds=cfg, **args)
    if node == "PerpNegGuider":
        return call(node, model=model, positive=positive, negative=negative, empty_conditioning=empty, cfg=cfg, **args)
    return cfg_guider(model, positive, negative, cfg)


def levels_of(call, case: dict, model: Model) -> torch.Tensor:
    node, args = case["node"], case.get("args", {})
    if node.endswith("Scheduler"):
        takes_model = {"model": model} if node.startswith(("SD", "Beta")) else {}
        return call(node, **takes_model, **args)
    sigmas = basic_scheduler(model, "normal", case["steps"], case.get("denoise", 1.0))
    if node == "SplitSigmas":
        high, low = call(node, sigmas=sigmas, step=args["step"])
        return high if args["half"] == "high" else low
    return sigmas


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_node_does_what_was_recorded(call, case):
    node, args, wanted = case["node"], dict(case.get("args", {})), TENSORS[case["name"]]
    kind, model = case["kind"], model_of(case["kind"])
    start, mask = torch.zeros_like(wanted), None
    if args.pop("latent", None) == "R" or node == "DifferentialDiffusion":
        start = starting_latent(*wanted.shape[1:])
    if node == "DifferentialDiffusion":
        mask = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    noise = disable_noise() if args.pop("noise", "") == "disabled" else random_noise(case["seed"])
    sampler_name = SAMPLER_NODES.get(node, case.get("sampler", "euler"))
    sampler = call(node, **args) if node in SAMPLER_NODES else select_sampler(sampler_name)
    if not node.endswith(("Guider", "Scheduler")) and node not in (*SAMPLER_NODES, "SplitSigmas"):
        model = patched(call, model, node, args)
    toy = replace(toy_model(kind), options=guidance(model), prediction=prediction(model))
    guider = guider_of(call, node, args, model, case["cfg"])
    sampled = sample_custom(toy, guider.guider, sampler, levels_of(call, case, model), Latent(start, mask), noise=noise)
    got = (sampled.denoised if case["name"].endswith("/denoised") else sampled.output).samples
    assert (got - wanted).abs().max() <= latent_tolerance(sampler_name) * wanted.abs().max()


def drawn(sampler, seed: int = 1, kind: str = "eps") -> torch.Tensor:
    sigmas = basic_scheduler(model_of(kind), "karras", 6)
    guider = cfg_guider(model_of(kind), PROMPTS[0], PROMPTS[1], 4.0).guider
    return sample_custom(toy_model(kind), guider, sampler, sigmas, Latent(torch.zeros(1, 4, 8, 8)), noise=Noise(seed)).output.samples


def with_same_start(sampler, seed: int) -> torch.Tensor:
    """Two runs whose first noise is equal and whose later noise is not."""
    kind = "eps"
    sigmas = basic_scheduler(model_of(kind), "karras", 6)
    guider = cfg_guider(model_of(kind), PROMPTS[0], PROMPTS[1], 4.0).guider
    start = Latent(starting_latent(4, 8, 8) * 10)
    return sample_custom(toy_model(kind), guider, sampler, sigmas, start, noise=Noise(seed, enabled=False)).output.samples


def test_er_sde_draws_noise_unless_it_is_an_ode():
    assert with_same_start(er_sde("ODE"), 1).equal(with_same_start(er_sde("ODE"), 2))
    assert with_same_start(er_sde("Reverse-time SDE", eta=0.0), 1).equal(with_same_start(er_sde("ODE"), 1))
    assert not with_same_start(er_sde("Reverse-time SDE"), 1).equal(with_same_start(er_sde("Reverse-time SDE"), 2))


def test_er_sde_of_its_own_kind_is_the_named_sampler():
    assert drawn(er_sde("ER-SDE")).equal(drawn(select_sampler("er_sde")))


def test_lcm_upscale_ends_at_the_ratio_and_without_growth_is_lcm():
    assert drawn(lcm_upscaling(2.0)).shape == (1, 4, 16, 16)
    assert drawn(lcm_upscaling(1.5, 1)).shape == (1, 4, 12, 12)
    torch.testing.assert_close(drawn(lcm_upscaling(1.0, 0)), drawn(select_sampler("lcm")))


def test_sa_solver_of_order_one_without_noise_and_correction_is_euler():
    solver = sa_solver(model_of("eps"), eta=0.0, predictor_order=1, corrector_order=0, use_pece=False, simple_order_2=False)
    torch.testing.assert_close(drawn(solver), drawn(select_sampler("euler")), atol=1e-4, rtol=1e-4)


def test_noise_is_added_in_the_models_own_scale_between_two_levels():
    start, model = starting_latent(4, 8, 8), model_of("eps")
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    got = add_noise(model, random_noise(5), torch.tensor([7.0, 3.0, 2.0]), Latent(start)).samples
    torch.testing.assert_close(got, start + 5.0 * noise / 0.18215)


def test_no_level_adds_no_noise():
    start = Latent(starting_latent(4, 8, 8))
    assert add_noise(model_of("eps"), random_noise(5), torch.empty(0), start).samples.equal(start.samples)


@pytest.mark.parametrize(
    ("percent", "actual", "sigma"), [(0.5, False, 1.6155803), (0, False, 999999999.9), (0, True, 14.6146412), (1, True, 0.0291672)]
)
def test_percent_to_sigma(percent, actual, sigma):
    assert sampling_percent_to_sigma(model_of("eps"), percent, actual).sigma_value == pytest.approx(sigma, rel=1e-5)


def test_levels_set_on_a_model_are_told_to_its_network_in_its_own_way():
    model, sigma = model_of("eps"), torch.tensor(0.8)
    assert prediction(model_sampling_aura_flow(model)).timestep(sigma) == pytest.approx(0.8)
    assert prediction(model_sampling_continuous_edm(model, "edm")).timestep(sigma).item() == pytest.approx(0.25 * sigma.log().item())
    assert prediction(model_sampling_continuous_v(model, "v_prediction")).timestep(sigma).item() == pytest.approx(
        2 / torch.pi * sigma.atan().item()
    )
    assert prediction(model_sampling_continuous_v(model, "v_prediction")).sigma_max == pytest.approx(500)


def test_playgrounds_latents_have_a_mean_and_a_deviation_per_channel():
    space = model_sampling_continuous_edm(model_of("eps"), "edm_playground_v2.5").options["latent_format"]
    middle = torch.tensor([-1.6574, 1.886, -1.383, 2.5155]).view(1, 4, 1, 1)
    spread = torch.tensor([8.4927, 5.9022, 6.5498, 5.2299]).view(1, 4, 1, 1)
    torch.testing.assert_close(space.process_in(middle + spread), torch.full((1, 4, 1, 1), 0.5))
    torch.testing.assert_close(space.process_out(torch.zeros(1, 4, 1, 1)), middle)
