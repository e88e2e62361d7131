"""The loop: exact continuation, what it leaves alone, what it refuses, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.diffusion.adapters.lora import apply_lora
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.batches import Batches
from engine.diffusion.training.holding_out import held_out
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.result import curve_of, lora_of
from engine.diffusion.training.segment import train
from engine.diffusion.training.state import check_same
from engine.errors import Cancelled, InvalidInput
from engine.graph.cache import Cache
from engine.graph.checkpoint import Checkpoint
from engine.graph.disk_tier import DiskTier
from engine.values.dataset import CaptionPolicy, LossMask, TrainingSet
from engine.values.store import SafetensorsStore
from engine.values.training import Adapter, Objective, Optimizer, TrainingState
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import encoded, random_set


def assert_same(one: TrainingState, other: TrainingState) -> None:
    """Every tensor bit for bit, every number too."""
    assert one.record == other.record
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


def test_ten_steps_are_five_a_stop_and_five(run):
    """With shuffled buckets, caption and tag dropout, flips, all kinds of dropout, text encoder, averages, accumulation and validation."""
    settings = recipe(
        Adapter(rank=4, conv_rank=2, text_encoder=True, dropout=0.1, rank_dropout=0.1, module_dropout=0.1, max_norm=0.5),
        Objective(noise_offset=0.1, weighting="min_snr", stratified=True),
        Optimizer(rate=1e-3, text_rate=1e-4, ema=0.9, text_share=0.7),
        accumulation=2,
        validate_every=10,
    )
    whole = run(settings, 10)
    assert whole.step == 10 and len(whole.record["curve"]) == 10 and len(whole.record["validation"]) == 1
    assert_same(whole, run(settings, 5, 10))


@pytest.mark.parametrize("optimizer", ["Adafactor", "RMSprop", "SGD", "AdamWScheduleFree", "SGDScheduleFree"])
def test_other_optimizers_go_on_exactly_too(run, optimizer):
    rest = {"schedule": "constant", "warmup": 0} if "Free" in optimizer else {}
    settings = recipe(optimizer=Optimizer(name=optimizer, rate=1e-3, **rest), steps=2, validate_every=1)
    assert_same(run(settings, 2), run(settings, 1, 2))


def test_a_state_survives_the_store_and_a_restart(run, tmp_path):
    settings = recipe()
    state = run(settings, 1)
    for action in ("save", "load"):
        cache = Cache(0, DiskTier(tmp_path / "cache", SafetensorsStore(), limit=2**30))
        if action == "save":
            cache.save_state(b"digest", state)
        loaded = cache.load_state(b"digest")
        cache.close()
    assert_same(state, loaded)
    assert_same(run(settings, 2, state=loaded), run(settings, 2))


@pytest.mark.filterwarnings("error::FutureWarning")
def test_checkpointing_changes_nothing_but_memory(run):
    """Of both networks."""
    adapter, optimizer = Adapter(rank=4, rank_dropout=0.2, text_encoder=True), Optimizer(rate=1e-3, text_rate=1e-3)
    plain, saving = (run(recipe(adapter, optimizer=optimizer, checkpointing=saving), 2) for saving in (False, True))
    for name, tensor in plain.part("adapter").items():
        assert torch.allclose(tensor, saving.part("adapter")[name], atol=1e-6), name


def test_training_leaves_the_loaded_networks_as_they_are(checkpoint, memory, run):
    def snapshot() -> dict[str, torch.Tensor]:
        with memory.unet(checkpoint.model) as unet, memory.text_encoder(checkpoint.clip) as encoder:
            tensors = [*unet.named_parameters(), *encoder.named_parameters(), *encoder.named_buffers()]
            return {f"{name} {tuple(tensor.shape)}": tensor.detach().clone() for name, tensor in tensors}

    before = snapshot()
    run(recipe(Adapter(rank=4, conv_rank=4, text_encoder=True), optimizer=Optimizer(rate=0.1, text_rate=0.1)), 2)
    after = snapshot()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "adapter",
    [
        Adapter(rank=4, alpha=2), Adapter(rank=4, conv_rank=2, rank_stabilised=True), Adapter(kind="loha", rank=2, alpha=2, conv_rank=2),
        Adapter(kind="lokr", rank=2, alpha=1, factor=4, conv_rank=2), Adapter(kind="lokr", rank=4),
        Adapter(rank=4, alpha=2, ranks="down_blocks = 2\nmid_block = 0"), Adapter(rank=2, alpha=2, conv_rank=2, magnitude=True),
        Adapter(kind="oft", rank=8, conv_rank=4), Adapter(kind="oft", rank=8, constraint=1e-5), Adapter(kind="ia3"),
        Adapter(kind="full", conv_rank=1), Adapter(rank=4, alpha=4, norms=True, conv_rank=2), Adapter(kind="ia3", norms=True),
    ],
    ids=lambda adapter: f"{adapter.kind}-{adapter.rank}-{adapter.conv_rank}",
)  # fmt: skip
def test_the_adapter_put_on_the_model_is_the_network_that_was_trained(checkpoint, memory, pictures, adapter):
    """At first it changes no bit of the output; after some steps the merged weights give what the trained network gives."""
    settings = recipe(adapter, optimizer=Optimizer(rate=3e-3, schedule="constant", warmup=0))
    x, told = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([100.0, 700.0])
    words = torch.randn(2, 77, checkpoint.model.weights.arguments["cross_attention_dim"], generator=torch.Generator().manual_seed(2))

    def output(network: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return network(x, told, encoder_hidden_states=words, return_dict=False)[0]

    with memory.unet(checkpoint.model) as unet:
        plain = output(unet)
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        network = trainer._networks.unet.eval()
        # DoRA divides a weight by its norm and multiplies it again
        assert torch.allclose(output(network), plain, atol=1e-5) if adapter.magnitude else torch.equal(output(network), plain)
        network.train()
        for _ in range(3):
            trainer.advance()
        trained = output(network.eval())
        lora = lora_of(trainer.state())
    adapted = apply_lora(checkpoint.model, checkpoint.clip, lora, 1.0, 1.0)
    assert adapted.unused == ()
    with memory.unet(adapted.model) as unet:
        merged = output(unet)
    moved = (trained - plain).abs().max()
    assert moved > 5e-4
    assert (merged - trained).abs().max() < min(1e-4, 0.05 * moved)


def test_one_picture_is_learnt_by_heart(checkpoint, memory, tmp_path):
    """The loss at fixed timesteps with fixed noise falls clearly."""
    width = checkpoint.model.weights.arguments["cross_attention_dim"]
    data = encoded(random_set(tmp_path, 1, policy=CaptionPolicy(), flip=False), tmp_path, width)
    settings = recipe(Adapter(rank=16, alpha=16), optimizer=Optimizer(rate=3e-3, schedule="constant", warmup=0), steps=60)
    with open_trainer(memory, checkpoint.model, None, data, settings) as trainer:
        before = trainer.fixed_loss()
        for _ in range(60):
            trainer.advance()
        assert trainer.fixed_loss() < 0.7 * before


def test_a_loss_that_is_no_number_stops_before_its_step_and_names_the_picture(checkpoint, memory, pictures, tmp_path):
    data = random_set(tmp_path, 5)
    bad = load_file(data.latents[2][0])
    for path in data.latents[2]:
        save_file({**bad, "mean": torch.full_like(bad["mean"], float("nan"))}, path)
    keep = Checkpoint()
    with open_trainer(memory, checkpoint.model, checkpoint.clip, data, recipe()) as trainer:
        with pytest.raises(InvalidInput, match=r"no finite number at step \d+, for picture2.png") as caught:
            train(trainer, 10, keep, tell=lambda progress: None, check=lambda: None)
        left = keep.load()
        assert left.step == caught.value.details["step"] - 1 == trainer.step
        assert all(tensor.isfinite().all() for tensor in left.part("adapter").values())


def test_a_stopped_segment_goes_on_where_it_was(checkpoint, memory, pictures, run):
    settings = recipe(steps=4)
    keep = Checkpoint()
    done = []

    def check() -> None:
        if len(done) == 2:
            raise Cancelled("The job was cancelled.")

    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer, pytest.raises(Cancelled):
        train(trainer, 4, keep, tell=done.append, check=check)
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        state = train(trainer, 4, keep, tell=done.append, check=lambda: None)
    assert [progress.step.number for progress in done] == [1, 2, 3, 4]
    assert_same(state, run(settings, 4))


def test_a_training_that_is_asked_to_end_early_gives_what_it_has(checkpoint, memory, pictures):
    done = []
    keep = Checkpoint(finish=lambda: len(done) == 2)
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, recipe()) as trainer:
        assert train(trainer, 10, keep, tell=done.append, check=lambda: None).step == 2


def test_a_state_of_other_settings_is_refused_by_name(run):
    state = run(recipe(), 1)
    for other, named in ((recipe(Adapter(rank=8)), "adapter.rank"), (recipe(batch_size=4), "batch_size")):
        with pytest.raises(InvalidInput, match=named):
            run(other, 2, state=state)


def test_going_on_with_other_pictures_is_told(checkpoint, memory, pictures, run):
    state = run(recipe(), 1)
    first, *rest = pictures.dataset.examples
    other = replace(pictures, dataset=replace(pictures.dataset, examples=(replace(first, captions=("another caption",)), *rest)))
    said: list[str] = []

    def told(text: str, hint: str) -> None:
        said.append(text)

    for data in (pictures, other):
        assert not said
        with open_trainer(memory, checkpoint.model, checkpoint.clip, data, recipe(), notice=told) as trainer:
            trainer.load(state)
    assert said == ["The state comes from other pictures or captions: from here on it is trained on these."]


def test_a_state_from_before_there_was_a_setting_goes_on_with_its_default() -> None:
    kept = recipe().model_dump(mode="json")
    del kept["adapter"]["constraint"]
    state = TrainingState({}, {"step": 1, "recipe": kept})
    check_same(state, recipe())
    with pytest.raises(InvalidInput, match=r"adapter\.constraint = 0\.0"):
        check_same(state, recipe(Adapter(rank=4, alpha=4, constraint=0.1)))


def test_text_encoder_rates_and_its_share_of_the_training(run):
    """After its share the text encoder stays as it is."""
    settings = recipe(Adapter(rank=4, text_encoder=True), optimizer=Optimizer(rate=1e-3, text_rate=1e-3, text_share=0.2))
    at_two, at_three = (run(settings, steps) for steps in (2, 3))

    def part(state: TrainingState, prefix: str) -> dict[str, torch.Tensor]:
        return {name: tensor for name, tensor in state.part("adapter").items() if name.startswith(prefix) and "up" in name}

    assert all((tensor != 0).any() for tensor in part(at_two, "lora_te_").values())
    assert all(torch.equal(tensor, part(at_three, "lora_te_")[name]) for name, tensor in part(at_two, "lora_te_").items())
    assert not all(torch.equal(tensor, part(at_three, "lora_unet_")[name]) for name, tensor in part(at_two, "lora_unet_").items())


def test_rates_of_some_modules_and_of_the_second_matrices(run):
    """A factor of 0 leaves modules as they were; with LoRA+ the second matrices go further than the first ones."""
    plain = recipe(optimizer=Optimizer(name="SGD", options="momentum=0", rate=1.0, schedule="constant", warmup=0, max_grad_norm=0))
    faster = recipe(
        optimizer=Optimizer(
            name="SGD", options="momentum=0", rate=1.0, schedule="constant", warmup=0, max_grad_norm=0, up_rate=4.0, rates="mid_block = 0"
        )
    )
    one, other = run(plain, 1).part("adapter"), run(faster, 1).part("adapter")
    for name in one:
        if name.endswith("lora_up.weight"):
            expected = torch.zeros_like(one[name]) if "mid_block" in name else 4 * one[name]
            assert torch.allclose(other[name], expected, atol=1e-7), name


def test_norms_are_limited(run):
    settings = recipe(Adapter(rank=4, alpha=4, max_norm=0.01), optimizer=Optimizer(rate=0.05, schedule="constant", warmup=0))
    adapter = run(settings, 3).part("adapter")
    names = [name.removesuffix(".lora_up.weight") for name in adapter if name.endswith("lora_up.weight")]
    norms = [(adapter[f"{n}.lora_up.weight"].flatten(1) @ adapter[f"{n}.lora_down.weight"].flatten(1)).norm() for n in names]
    assert max(norms) <= 0.01 * 1.001 and max(norms) > 0.009


def test_averaged_weights_are_what_is_trained(run):
    state = run(recipe(optimizer=Optimizer(rate=1e-2, ema=0.99)), 4)
    average, adapter = state.part("average"), state.part("adapter")
    assert lora_of(state).tensors.keys() == average.keys() == adapter.keys()
    assert all(torch.equal(tensor, average[name]) for name, tensor in lora_of(state).tensors.items())
    assert any(not torch.equal(tensor, adapter[name]) for name, tensor in average.items())


def test_the_curve_has_every_step(run):
    curve = curve_of(run(recipe(validate_every=2), 3))
    assert [row[0] for row in curve.steps] == [1, 2, 3]
    assert [row[0] for row in curve.validation] == [2]
    assert all(loss > 0 for _, loss, _ in curve.steps)


def test_a_gradient_that_is_no_number_stops_before_anything_moves(checkpoint, memory, pictures):
    """Also where nothing shortens gradients, with a loss that is a number."""
    settings = recipe(optimizer=Optimizer(rate=1e-2, max_grad_norm=0))
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        trainer.advance()
        before = trainer.state()
        trainer._parameters[0].register_hook(lambda gradient: gradient * torch.inf)
        with pytest.raises(InvalidInput, match="gradient is no finite number at step 2"):
            trainer.advance()
        assert_same(trainer.state(), before)


def test_a_rule_keeps_alpha_by_rank_of_its_kind_of_module(run):
    adapter = Adapter(rank=4, alpha=4, conv_rank=4, conv_alpha=1, ranks="resnets.*conv1 = 2\nattn1 = 2")
    tensors = run(recipe(adapter), 0).part("adapter")
    alphas = {kind: {tensors[name].item() for name in tensors if kind in name and name.endswith(".alpha")} for kind in ("conv1", "attn1")}
    assert alphas == {"conv1": {0.5}, "attn1": {2.0}}


@pytest.mark.parametrize(
    ("adapter", "named"),
    [
        (Adapter(kind="loha", magnitude=True), "magnitude"), (Adapter(kind="lokr", max_norm=1), "max_norm"), (Adapter(factor=4), "factor"),
        (Adapter(magnitude=True, max_norm=1), "max_norm"), (Adapter(ranks="no_such_block = 4"), "fits no module"),
        (Adapter(ranks="mid_block"), "no rule"), (Adapter(ranks="( = 4"), "no rule"), (Adapter(ranks=". = 0"), "changes no module"),
        (Adapter(ranks="(a+)+$ = x"), "no rule"), (Adapter(conv_alpha=4), "conv_alpha = 4 has no effect"),
        (Adapter(kind="ia3", ranks="attn1 = 4"), "ranks: 4 has no effect on ia3"),
        (Adapter(kind="ia3", rank=4), "rank = 4 has no effect on ia3"), (Adapter(kind="oft", alpha=1), "alpha = 1.0 has no effect on oft"),
        (Adapter(kind="oft", rank_dropout=0.1), "rank_dropout"), (Adapter(constraint=1), "constraint"),
        (Adapter(kind="oft", rank=1), "one row"), (Adapter(kind="full", max_norm=1), "max_norm"),
    ],
)  # fmt: skip
def test_an_adapter_that_cannot_be_is_refused_by_name(run, adapter, named):
    with pytest.raises(InvalidInput, match=named):
        run(recipe(adapter), 0)


def test_a_rule_may_be_for_one_of_two_networks(checkpoint, memory, pictures):
    settings = recipe(Adapter(text_encoder=True, ranks="^down_blocks = 0"), optimizer=Optimizer(text_rate=1e-4))
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        names = trainer.state().part("adapter")
    assert any(name.startswith("lora_te_") for name in names) and any(name.startswith("lora_unet_up_blocks") for name in names)
    assert not any(name.startswith("lora_unet_down_blocks") for name in names)


def test_encoded_captions_and_a_trained_text_encoder_contradict_each_other(run, tmp_path):
    data = encoded(random_set(tmp_path, 2, policy=CaptionPolicy()), tmp_path, 64)
    settings = recipe(Adapter(text_encoder=True), optimizer=Optimizer(text_rate=1e-4))
    with pytest.raises(InvalidInput, match="encoded already"):
        run(settings, 1, data=data)


def test_an_inpainting_network_is_refused(checkpoint, memory, pictures):
    weights = checkpoint.model.weights
    nine = replace(checkpoint.model, weights=replace(weights, config=weights.config.replace('"in_channels": 4', '"in_channels": 9')))
    with pytest.raises(InvalidInput, match="9 channels"), open_trainer(memory, nine, checkpoint.clip, pictures, recipe()):
        pass


def test_steps_without_a_gradient_pass_under_a_loss_scale_too(checkpoint, memory, pictures):
    """After its share of the training a text encoder that is trained alone has none."""
    settings = recipe(
        Adapter(rank=2, unet=False, text_encoder=True), optimizer=Optimizer(rate=0, text_rate=1e-3, text_share=0.2, warmup=0), steps=10
    )
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        trainer._scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        steps = [trainer.advance() for _ in range(4)]
        assert [step.gradient > 0 for step in steps] == [True, True, False, False]
        assert trainer.state().step == 4


def test_pictures_of_another_latent_space_are_refused(run, pictures):
    with pytest.raises(InvalidInput, match="encoded by a VAE of Stable Diffusion XL"):
        run(recipe(), 1, data=replace(pictures, family="sdxl"))


def test_the_loss_of_pictures_that_are_held_out_is_measured_and_they_are_not_trained_on(checkpoint, memory, pictures, run):
    data = replace(pictures, dataset=held_out(pictures.dataset, 0.4, seed=1))
    kept = {number for number, example in enumerate(data.dataset.examples) if example.held_out}
    assert len(kept) == 2
    batches = Batches(data, batch_size=2, seed=0)
    assert {number for step in range(20) for number in batches.batch(step).examples} == set(range(5)) - kept
    measured = batches.validation()
    assert {number for batch in measured for number in batch.examples} == kept
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(measured, batches.validation(), strict=True))
    assert all("" not in batch.captions for batch in measured)
    curve = curve_of(run(recipe(validate_every=1), 2, data=data))
    assert [step for step, _ in curve.validation] == [1, 2]
    assert curve.validation != curve_of(run(recipe(validate_every=1), 2)).validation
    with pytest.raises(InvalidInput, match="2 pictures are held out"):
        run(recipe(), 1, data=data)


def test_a_schedule_free_optimizer_gives_what_it_averages(checkpoint, memory, pictures, run):
    """And goes on training where it trained."""
    settings = recipe(optimizer=Optimizer(name="AdamWScheduleFree", rate=1e-2, schedule="constant", warmup=0))
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
        for _ in range(3):
            trainer.advance()
        trained = [parameter.detach().clone() for parameter in trainer._parameters]
        state = trainer.state()
        assert all(torch.equal(parameter, before) for parameter, before in zip(trainer._parameters, trained, strict=True))
        trainer._optimizer.eval()
        for name, slot in next(iter(trainer._networks.adapted.values())).slots.items():
            assert torch.equal(lora_of(state).tensors[name].reshape(slot.shape), slot.parameter.reshape(slot.shape)), name
    assert any(not torch.equal(tensor, state.part("adapter")[name]) for name, tensor in lora_of(state).tensors.items())
    for wrong in ({"schedule": "cosine", "warmup": 0}, {"schedule": "constant", "warmup": 0, "ema": 0.9}):
        with pytest.raises(InvalidInput, match="needs no schedule"):
            run(recipe(optimizer=Optimizer(name="AdamWScheduleFree", **wrong)), 0)


def with_class(data: TrainingSet) -> TrainingSet:
    """The same pictures, the last two for regularisation."""
    examples = data.dataset.examples
    others = tuple(replace(example, regularisation=True) for example in examples[3:])
    return replace(data, dataset=replace(data.dataset, examples=(*examples[:3], *others)))


@pytest.mark.parametrize("whole", [False, True])
def test_the_class_is_asked_for_what_the_model_predicted_before(checkpoint, memory, pictures, whole):
    """At first its loss is nothing; then it is the distance from the prediction of the model as it was."""
    data = with_class(pictures)
    optimizer = Optimizer(rate=1e-2, schedule="constant", warmup=0)
    settings = recipe(optimizer=optimizer, objective=Objective(preserve_class=True), batch_size=2)
    if whole:
        settings = settings.model_copy(update={"whole": True})
    with open_trainer(memory, checkpoint.model, checkpoint.clip, data, settings) as trainer:
        steps = (trainer._data.batch(step) for step in range(20))
        batch = next(batch for batch in steps if batch.is_regularisation.any() and not batch.is_regularisation.all())
        noised = trainer._task.noised(batch.latents, torch.Generator().manual_seed(1))
        with torch.no_grad():
            losses = trainer._losses(batch, noised, slice(None), reading=False)
            assert (losses[batch.is_regularisation] < 1e-10).all() and (losses[~batch.is_regularisation] > 1e-3).all()
        trainer.advance()
        with torch.no_grad():
            moved = trainer._losses(batch, noised, slice(None), reading=False)[batch.is_regularisation]
            context = trainer._context(batch, slice(None), False)
            network, others = trainer._networks.unet, batch.is_regularisation
            asked = (noised.x[others], noised.told[others])
            now = network(*asked, encoder_hidden_states=context[others], return_dict=False)[0]
    with memory.unet(checkpoint.model) as unet, torch.no_grad():
        before = unet(*asked, encoder_hidden_states=context[others], return_dict=False)[0]
    assert (moved > 1e-8).all()
    torch.testing.assert_close(moved, (now - before).square().mean((1, 2, 3)), rtol=1e-3, atol=1e-7)


def test_the_loss_of_the_class_has_a_curve_of_its_own(run, pictures):
    """Of the steps that saw some of it: the mean over those pictures, whatever the others of the step add."""
    data, settings = with_class(pictures), recipe(batch_size=2, steps=8)
    state = run(settings, 8, data=data)
    batches = Batches(data, batch_size=2, seed=settings.seed)
    shares = {step: batches.batch(step - 1).is_regularisation.double().mean().item() for step in range(1, 9)}
    prior, losses = dict(state.record["prior"]), {step: loss for step, loss, _ in state.record["curve"]}
    assert list(prior) == [step for step, share in shares.items() if share] and 0 < len(prior) < 8
    assert all(prior[step] == pytest.approx(losses[step]) for step in prior if shares[step] == 1)
    mixed = [step for step in prior if shares[step] == 0.5]
    assert mixed and all(0 < prior[step] < 2 * losses[step] and prior[step] != losses[step] for step in mixed)
    assert_same(state, run(settings, 4, 8, data=data))
    assert dict(curve_of(state).prior) == prior


@pytest.mark.parametrize("setting", [{"mask_scale": "area"}, {"unmasked_weight": 0.1}])
def test_settings_for_masks_are_refused_where_no_picture_has_one(run, pictures, tmp_path, setting):
    with pytest.raises(InvalidInput, match=f"{next(iter(setting))} = .* has no effect: no picture has a mask"):
        run(recipe(objective=Objective(**setting)), 1)
    masked = random_set(tmp_path, 2, mask=torch.ones(1, 8, 8))
    examples = tuple(replace(example, mask=LossMask("alpha")) for example in masked.dataset.examples)
    run(recipe(objective=Objective(**setting)), 1, data=replace(masked, dataset=replace(masked.dataset, examples=examples)))


def test_a_class_that_cannot_be_preserved_is_named(run, pictures):
    objective = Objective(preserve_class=True)
    with pytest.raises(InvalidInput, match="no regularisation pictures"):
        run(recipe(objective=objective), 1)
    only_text = recipe(Adapter(unet=False, text_encoder=True), objective, Optimizer(text_rate=1e-3))
    with pytest.raises(InvalidInput, match="diffusion network is not trained"):
        run(only_text, 1, data=with_class(pictures))


def test_dream_trains_on_and_goes_on_exactly_and_is_no_part_of_what_is_measured(run):
    dreaming = recipe(objective=Objective(dream=1.0), validate_every=1)
    assert_same(run(dreaming, 2), run(dreaming, 1, 2))
    plain = run(recipe(validate_every=1), 1)
    other = run(dreaming, 1)
    assert plain.record["curve"][0][1] != other.record["curve"][0][1]
    assert run(recipe(validate_every=1), 0).tensors.keys() == run(dreaming, 0).tensors.keys()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_what_is_trained_is_float32_whatever_the_network_computes_in(checkpoint, pictures, precision):
    """A step too small for the network's format is kept, and the loss is nearly that of float32."""
    memory = Memory(choose("cpu", precision))
    optimizer = Optimizer(rate=1e-6, schedule="constant", warmup=0)
    kinds = [{"magnitude": True}, {"norms": True, "conv_rank": 2}, {"kind": "loha"}, {"kind": "lokr"}, {"kind": "oft", "alpha": 8.0}]
    losses = []
    for kind in kinds:
        settings = recipe(Adapter(**{"rank": 4, "alpha": 4, **kind}), optimizer=optimizer)  # type: ignore[arg-type]
        with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
            before = [parameter.detach().clone() for parameter in trainer._parameters]
            losses.append(trainer.advance().loss)
            assert {parameter.dtype for parameter in trainer._parameters} == {torch.float32}
            moved = sum(not torch.equal(parameter, old) for parameter, old in zip(trainer._parameters, before, strict=True))
            assert moved >= len(before) // 5, kind  # of LoHa a fourth can move at first
    assert max(losses) < 1.02 * min(losses)
