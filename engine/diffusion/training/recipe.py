"""The settings of a training that decide its steps, without its length: equal recipes make equal steps."""

from __future__ import annotations

from engine.diffusion.training.fused import check_fused
from engine.diffusion.training.networks import BY_PEFT
from engine.diffusion.training.optimizers import check_schedule, needs_horizon
from engine.errors import InvalidInput
from engine.values.training import Adapter, Objective, Optimizer, Plan, Settings, Share


class Word(Settings):
    """A new word. name: what captions and prompts call it by; start: words that its vectors begin as, repeated to fill them."""

    name: str
    start: str
    vectors: int


class Recipe(Settings):
    """horizon: the steps that the schedule is made for, 0 where no rate depends on it.

    word: trained instead of an adapter. whole: every weight of the networks that the adapter names is trained instead of it.
    """

    adapter: Adapter
    objective: Objective
    optimizer: Optimizer
    batch_size: int
    accumulation: int
    seed: int
    checkpointing: bool
    validate_every: int
    horizon: int
    processes: int = 1
    fp8_base: bool = False
    swap: Share = 0.0
    fused_backward: bool = False
    word: Word | None = None
    whole: bool = False


def recipe_of(adapter: Adapter, objective: Objective, optimizer: Optimizer, plan: Plan) -> Recipe:
    """The recipe of a training. Raises InvalidInput for settings that contradict each other or have no effect together."""
    check_schedule(optimizer)
    if adapter.unet and not optimizer.rate:
        raise InvalidInput("The diffusion network is to be trained at the rate 0.", hint="Set a rate, or switch `unet` off in the adapter.")
    if adapter.text_encoder and not optimizer.text_rate:
        raise InvalidInput("The text encoder is to be trained at the rate 0.", hint="Set text_rate, or switch `text_encoder` off.")
    if not adapter.text_encoder and optimizer.text_rate:
        raise InvalidInput(
            f"text_rate = {optimizer.text_rate:g} has no effect: the adapter leaves the text encoder as it is.",
            hint="Switch `text_encoder` on in the adapter, or set text_rate to 0.",
        )
    if optimizer.text_share < 1 and not adapter.text_encoder:
        raise InvalidInput("text_share has no effect without a trained text encoder.", hint="Leave it at 1.")
    if optimizer.up_rate != 1 and adapter.kind != "lora":
        raise InvalidInput(f"up_rate (LoRA+) has no effect on {adapter.kind}.", hint="Leave it at 1.")
    if plan.fused_backward:
        raise InvalidInput(
            "fused_backward is for whole networks: the gradients of an adapter or a word take hardly any memory.",
            hint="Switch fused_backward off.",
        )
    if (kept := _kept_otherwise(plan)) and adapter.unet and (adapter.kind not in BY_PEFT or adapter.magnitude):
        raise InvalidInput(
            f"{kept} does not go with {'magnitude (DoRA)' if adapter.magnitude else adapter.kind}, which works on the weights themselves.",
            hint=f"Leave {kept} out, or train {', '.join(BY_PEFT)} without magnitude.",
        )
    if optimizer.horizon and not needs_horizon(optimizer):
        raise InvalidInput(
            f"horizon = {optimizer.horizon} has no effect on the schedule {optimizer.schedule} with a warm-up in steps.",
            hint="Set it to 0.",
        )
    horizon = (optimizer.horizon or plan.steps) if needs_horizon(optimizer) else 0
    if horizon and plan.steps > horizon:
        raise InvalidInput(f"The plan has {plan.steps} steps, the schedule ends after {horizon}.", hint="Raise the optimizer's horizon.")
    return Recipe(
        adapter=adapter,
        objective=objective,
        optimizer=optimizer.model_copy(update={"horizon": 0}),
        batch_size=plan.batch_size,
        accumulation=plan.accumulation,
        seed=plan.seed,
        checkpointing=plan.checkpointing,
        validate_every=plan.validate_every,
        horizon=horizon,
        processes=plan.processes,
        fp8_base=plan.fp8_base,
        swap=plan.swap,
    )


def _kept_otherwise(plan: Plan) -> str:
    """The setting by which frozen weights are kept otherwise than they are used."""
    return "fp8_base" if plan.fp8_base else "swap" if plan.swap else ""


def word_recipe(word: Word, objective: Objective, optimizer: Optimizer, plan: Plan) -> Recipe:
    """The recipe of a textual inversion; its rate is the optimizer's `rate`. Raises InvalidInput as `recipe_of`."""
    for name in ("text_rate", "text_share", "up_rate", "rates"):
        value, default = getattr(optimizer, name), Optimizer.model_fields[name].default
        if value != default:
            raise InvalidInput(f"{name} = {value} has no effect on a single word.", hint=f"Leave {name} at {default!r}.")
    settings = optimizer.model_copy(update={"text_rate": optimizer.rate})
    return recipe_of(Adapter(unet=False, text_encoder=True), objective, settings, plan).model_copy(update={"word": word})


def whole_recipe(unet: bool, text_encoder: bool, objective: Objective, optimizer: Optimizer, plan: Plan) -> Recipe:
    """The recipe of a training of whole networks. Raises InvalidInput as `recipe_of`."""
    if optimizer.up_rate != 1:
        raise InvalidInput(f"up_rate = {optimizer.up_rate:g} (LoRA+) has no effect without a LoRA.", hint="Leave it at 1.")
    if unet and (kept := _kept_otherwise(plan)):
        raise InvalidInput(f"{kept} has no effect: no weight of the diffusion network is frozen.", hint=f"Leave {kept} out.")
    if plan.fused_backward:
        check_fused(optimizer, plan)
    settings = recipe_of(
        Adapter(unet=unet, text_encoder=text_encoder), objective, optimizer, plan.model_copy(update={"fused_backward": False})
    )
    return settings.model_copy(update={"whole": True, "fused_backward": plan.fused_backward})
