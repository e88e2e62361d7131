"""The parts of a training as nodes: what is trained, what it is to learn, how its weights move, how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.diffusion.training.optimizers import optimizer_names
from engine.graph import OneOf, Seed, Widget, node
from engine.values import training
from engine.values.training import (
    Adapter,
    AdapterKind,
    Alpha,
    Chance,
    ConvRank,
    Count,
    HuberSchedule,
    LossName,
    MaskScale,
    Objective,
    Optimizer,
    Plan,
    Positive,
    Processes,
    Rank,
    Rate,
    SamplePlan,
    Schedule,
    Share,
    Steps,
    StepsOrNone,
    Targets,
    TimestepSampler,
    Unit,
    Weighting,
)
from nodes.sampling import SamplerName, SchedulerName

Rules = Annotated[training.Rules, Widget(multiline=True)]
OptimizerName = Annotated[str, OneOf(optimizer_names())]


@node("AdapterSpec", category="training", display_name="Adapter")
def adapter_spec(
    kind: AdapterKind = "lora",
    rank: Rank = 16,
    alpha: Alpha = 8.0,
    conv_rank: ConvRank = 0,
    conv_alpha: Alpha = 1.0,
    targets: Targets = "transformer",
    unet: bool = True,
    text_encoder: bool = False,
    ranks: Rules = "",
    magnitude: bool = False,
    rank_stabilised: bool = False,
    dropout: Chance = 0.0,
    rank_dropout: Chance = 0.0,
    module_dropout: Chance = 0.0,
    max_norm: Annotated[float, Field(ge=0, le=1000)] = 0.0,
    factor: Annotated[int, Field(ge=-1, le=1024)] = -1,
    constraint: Annotated[float, Field(ge=0, le=1000)] = 0.0,
    norms: bool = False,
) -> Adapter:
    """What is trained: an adapter of some kind and size on some modules of the model.

    Args:
        kind: LoRA, or LoHa or LoKr of LyCORIS; oft turns blocks of a weight's rows, ia3 scales keys, values and feed-forward layers, full
            learns the whole difference of each weight. With conv_rank above 0 a LoRA is what is called LoCon.
        rank: inner width of the adapter of a linear layer or a 1x1 convolution; for oft the most rows that are turned together.
        alpha: its output is scaled by alpha / rank.
        conv_rank, conv_alpha: the same for 3x3 convolutions; 0 leaves the convolutional blocks as they are.
        targets: attention and feed-forward layers of the transformer blocks, or only attention.
        unet, text_encoder: which networks get one.
        ranks: other ranks for some modules, one `expression = rank` a line, matched against the module's path; 0 leaves it out.
        magnitude: train the length of each weight row apart from its direction (DoRA).
        rank_stabilised: scale by alpha / sqrt(rank) instead (rsLoRA).
        dropout: chance of each inner activation to be dropped in a step.
        rank_dropout: chance of each inner channel to be dropped for a picture.
        module_dropout: chance of a whole module to be skipped in a step.
        max_norm: largest norm of one module's change, 0 for no limit.
        factor: how LoKr cuts a matrix in two, -1 for most even.
        constraint: how far oft may turn, per row, such as 0.001; 0 for no limit.
        norms: also learn differences of the norms in the blocks that are changed.
    """
    return Adapter(
        kind=kind, rank=rank, alpha=alpha, conv_rank=conv_rank, conv_alpha=conv_alpha, targets=targets, unet=unet,
        text_encoder=text_encoder, ranks=ranks, magnitude=magnitude, rank_stabilised=rank_stabilised, dropout=dropout,
        rank_dropout=rank_dropout, module_dropout=module_dropout, max_norm=max_norm, factor=factor,
        constraint=constraint, norms=norms,
    )  # fmt: skip


@node("Objective", category="training")
def objective(
    loss: LossName = "l2",
    huber_c: Annotated[float, Field(ge=0.0001, le=1)] = 0.1,
    huber_scale: Positive = 1.0,
    huber_schedule: HuberSchedule = "snr",
    weighting: Weighting = "none",
    gamma: Positive = 5.0,
    v_loss_like_noise: bool = False,
    v_like_share: Annotated[float, Field(ge=0, le=10)] = 0.0,
    noise_offset: Share = 0.0,
    noise_offset_random: bool = False,
    adaptive_noise_scale: Annotated[float, Field(ge=-10, le=10)] = 0.0,
    multires_iterations: Annotated[int, Field(ge=0, le=16)] = 0,
    multires_discount: Annotated[float, Field(ge=0.01, le=1)] = 0.3,
    input_noise: Share = 0.0,
    input_noise_random: bool = False,
    zero_terminal_snr: bool = False,
    first_timestep: Annotated[int, Field(ge=0, le=999)] = 0,
    last_timestep: Annotated[int, Field(ge=1, le=1000)] = 1000,
    timesteps: TimestepSampler = "uniform",
    sampler_mean: Annotated[float, Field(ge=-10, le=10)] = 0.0,
    sampler_std: Annotated[float, Field(ge=0.01, le=10)] = 1.0,
    stratified: bool = False,
    shift: Annotated[float, Field(ge=0, le=100)] = 0.0,
    mask_scale: MaskScale = "none",
    unmasked_weight: Share = 0.0,
    dream: Annotated[float, Field(ge=0, le=100)] = 0.0,
    preserve_class: bool = False,
) -> Objective:
    """What the network is asked to learn: which noise it sees, and how the distance from the target counts.

    What the model predicts (noise, v, a flow) is the model's own. A setting without effect on it is refused.

    Args:
        loss: how a difference counts: squared, absolute, or squared near zero and absolute beyond (huber, smooth_l1).
        huber_c, huber_scale: where huber bends from one to the other.
        huber_schedule: whether that place moves with the noise level.
        weighting: how much each noise level counts: min_snr, soft_min_snr, debiased (noise and v), sigma_sqrt, cosmap (flow).
        gamma: the signal-to-noise ratio at which min_snr cuts.
        v_loss_like_noise: weigh the loss of a v-prediction model as if it predicted noise.
        v_like_share: for models that predict noise: add this much of the loss that they would have on v.
        noise_offset: strength of noise that is the same all over a channel, which lets pictures become dark or bright.
        noise_offset_random: draw that strength anew for each picture, up to this one.
        adaptive_noise_scale: add this times the channel's mean to that strength.
        multires_iterations: levels of coarser noise added to it.
        multires_discount: how much weaker each coarser level is.
        input_noise: more noise in what the network sees than in what it should predict.
        input_noise_random: draw its strength anew for each picture.
        zero_terminal_snr: train with a last timestep that is all noise; sampling has to be set likewise. For v-prediction models.
        first_timestep, last_timestep: the part of the noise levels that is trained, of 1000.
        timesteps: how often each noise level is drawn.
        sampler_mean, sampler_std: centre and width of logit_normal and log_sigma; of mode only its width.
        stratified: draw the levels of one batch from equal parts, for a steadier gradient.
        shift: for flow models, how far levels move towards noise; 0: as the model is sampled.
        mask_scale: whether a picture with a mask counts by the mask's area (none), or as much as any other (area).
        unmasked_weight: how much places outside the mask count.
        dream: train on the model's own mistakes (DREAM), as in sampling; 1 as in its paper, larger keeps more detail, 0: not. For models
            that predict noise; a third slower.
        preserve_class: regularisation pictures ask the model to predict what it predicted before the training, instead of what they show
            (differential output preservation), so that their quality hardly matters. Their steps are slower.
    """
    return Objective(
        loss=loss, huber_c=huber_c, huber_scale=huber_scale, huber_schedule=huber_schedule, weighting=weighting, gamma=gamma,
        v_loss_like_noise=v_loss_like_noise, v_like_share=v_like_share, noise_offset=noise_offset,
        noise_offset_random=noise_offset_random, adaptive_noise_scale=adaptive_noise_scale, multires_iterations=multires_iterations,
        multires_discount=multires_discount, input_noise=input_noise, input_noise_random=input_noise_random,
        zero_terminal_snr=zero_terminal_snr, first_timestep=first_timestep, last_timestep=last_timestep, timesteps=timesteps,
        sampler_mean=sampler_mean, sampler_std=sampler_std, stratified=stratified, shift=shift, mask_scale=mask_scale,
        unmasked_weight=unmasked_weight, dream=dream, preserve_class=preserve_class,
    )  # fmt: skip


@node("Optimizer", category="training")
def optimizer(
    name: OptimizerName = "AdamW",
    rate: Rate = 1e-4,
    text_rate: Rate = 0.0,
    text_share: Annotated[float, Field(ge=0.001, le=1)] = 1.0,
    schedule: Schedule = "cosine",
    warmup: Annotated[float, Field(ge=0, le=1_000_000)] = 0.05,
    horizon: StepsOrNone = 0,
    cycles: Count = 1,
    power: Positive = 1.0,
    min_rate_share: Chance = 0.1,
    factors: Annotated[str, Field(max_length=1000)] = "",
    max_grad_norm: Annotated[float, Field(ge=0, le=1_000_000)] = 1.0,
    up_rate: Positive = 1.0,
    rates: Rules = "",
    options: Annotated[str, Field(max_length=1000)] = "",
    ema: Annotated[float, Field(ge=0, le=0.999999)] = 0.0,
) -> Optimizer:
    """How the weights move: the optimizer, its learning rates and their schedule.

    Args:
        name: torch's and transformers' optimizers; others where their package is installed.
        rate: the learning rate of the diffusion network.
        text_rate: that of the text encoder.
        text_share: the text encoder is trained for this share of the horizon only, from the start.
        schedule: how the rates go over the horizon.
        warmup: steps over which they rise from 0; below 1 a share of the horizon.
        horizon: the steps that the schedule is made for; 0: as many as are trained. Set it to train longer later without a new start.
        cycles: of cosine_with_restarts. power: of polynomial.
        min_rate_share: the share of the rate that is left at the end of cosine_with_min_lr and warmup_stable_decay.
        factors: of piecewise_constant, `factor:until step,...,last factor`: `1:500,0.1`.
        max_grad_norm: longer gradients are shortened to this, 0: none.
        up_rate: how many times faster LoRA's second matrices learn (LoRA+).
        rates: factors for some modules, one `expression = factor` a line, matched against the module's path.
        options: further arguments of the optimizer: `weight_decay=0.01 betas=0.9,0.99`.
        ema: decay of averaged weights, which are then what is trained; 0: none.
    """
    return Optimizer(
        name=name, rate=rate, text_rate=text_rate, text_share=text_share, schedule=schedule, warmup=warmup, horizon=horizon, cycles=cycles,
        power=power, min_rate_share=min_rate_share, factors=factors, max_grad_norm=max_grad_norm, up_rate=up_rate, rates=rates,
        options=options, ema=ema,
    )  # fmt: skip


@node("TrainPlan", category="training", display_name="Training Plan")
def train_plan(
    steps: Steps = 1000,
    save_every: Steps = 250,
    batch_size: Count = 2,
    accumulation: Count = 1,
    seed: Seed = 0,
    checkpointing: bool = False,
    validate_every: StepsOrNone = 0,
    unit: Unit = "steps",
    processes: Processes = 1,
    fp8_base: bool = False,
    swap: Share = 0.0,
    fused_backward: bool = False,
) -> Plan:
    """How long is trained, and in what portions.

    Args:
        steps: how often the weights move, each time for batch_size x accumulation x processes pictures.
        save_every: steps after which the state is kept and samples are drawn.
        batch_size: pictures at once.
        accumulation: batches whose gradients are added up before the weights move; as a larger batch in less memory.
        seed: of everything random: noise, timesteps, the order of pictures, dropout.
        checkpointing: compute activations twice instead of keeping them: less memory, about a third slower.
        validate_every: steps between measurements of the loss at fixed timesteps with fixed noise, the curve to trust; 0: none.
        unit: what steps, save_every and validate_every count: steps, epochs (the whole dataset with its repeats), or pictures seen.
        processes: how many graphics devices share each step, from the one in use on; each takes a batch of its own.
        fp8_base: keep the frozen weights of the diffusion network in float8: a quarter of float32's memory, half of float16's; what is
            learnt is a little other. For LoRA, LoHa and LoKr, and for what is trained in the text encoder.
        swap: the share of the frozen weights of the diffusion network that lies in main memory and visits the graphics device for each
            use, such as 0.5 (block swap). The same result in less memory, slower. For what fp8_base is for, on CUDA devices.
        fused_backward: of Train Full: each weight moves as soon as its gradient is there, which is then dropped. The same result in a
            quarter less memory; needs accumulation 1, one process, max_grad_norm 0, and one of torch's or transformers' optimizers.
    """
    return Plan(
        steps=steps, save_every=save_every, batch_size=batch_size, accumulation=accumulation, seed=seed, checkpointing=checkpointing,
        validate_every=validate_every, unit=unit, processes=processes, fp8_base=fp8_base, swap=swap, fused_backward=fused_backward,
    )  # fmt: skip


@node("TrainingSamples", category="training", display_name="Training Samples")
def training_samples(
    prompts: Annotated[str, Widget(multiline=True)] = "",
    negative: Annotated[str, Widget(multiline=True)] = "",
    width: Annotated[int, Field(ge=16, le=16384), Widget(step=8)] = 512,
    height: Annotated[int, Field(ge=16, le=16384), Widget(step=8)] = 512,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 20,
    cfg: Annotated[float, Field(ge=0, le=100)] = 7.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "normal",
    seed: Seed = 0,
    filename_prefix: Annotated[str, Widget(multiline=False)] = "training",
) -> SamplePlan:
    """Pictures to draw with what was learnt so far each time the state is kept, by the ordinary nodes.

    Args:
        prompts: one a line; each gives one picture. A line may end with flags of its own as in kohya's prompt files: `--n` negative,
            `--w` `--h` size, `--d` seed, `--s` steps, `--l` cfg, `--ss` sampler.
        filename_prefix: the beginning of the names of the sheets in the output folder.
    """
    return SamplePlan(
        prompts=prompts, negative=negative, width=width, height=height, steps=steps, cfg=cfg, sampler_name=sampler_name,
        scheduler=scheduler, seed=seed, filename_prefix=filename_prefix,
    )  # fmt: skip
