"""What a training is made from and what it leaves: the settings of its parts as values, the state between two steps, the loss curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from engine.graph import Seed, port

S = TypeVar("S", bound=type[BaseModel])


class SettingsCodec:
    """Keeps a settings value as JSON."""

    def __init__(self, kind: type[BaseModel]) -> None:
        self._kind = kind

    def encode(self, value: BaseModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, value.model_dump(mode="json")

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> BaseModel:
        return self._kind.model_validate(dict(metadata))


def settings_port(name: str) -> Callable[[S], S]:
    """Make a settings model a port type."""

    def declare(cls: S) -> S:
        return port(name, codec=SettingsCodec(cls))(cls)

    return declare


class Settings(BaseModel):
    """Values that cannot change, of names that are known, and numbers that are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


AdapterKind = Literal["lora", "loha", "lokr", "oft", "ia3", "full"]
Targets = Literal["transformer", "attention"]
Rank = Annotated[int, Field(ge=1, le=1024)]
ConvRank = Annotated[int, Field(ge=0, le=1024)]
Alpha = Annotated[float, Field(ge=0.001, le=4096)]
Share = Annotated[float, Field(ge=0, le=1)]
Chance = Annotated[float, Field(ge=0, le=0.99)]
Positive = Annotated[float, Field(ge=0.000001, le=1000)]
Rate = Annotated[float, Field(ge=0, le=10)]
Rules = Annotated[str, Field(max_length=10_000)]
Count = Annotated[int, Field(ge=1, le=1024)]
Processes = Annotated[int, Field(ge=1, le=64)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
StepsOrNone = Annotated[int, Field(ge=0, le=10_000_000)]


@settings_port("ADAPTER")
class Adapter(Settings):
    """What is trained: the kind of adapter, on which modules, how large.

    rank, alpha: of linear layers and 1x1 convolutions; the adapter's output is scaled by alpha / rank (alpha / sqrt(rank) with
    rank_stabilised). conv_rank, conv_alpha: of 3x3 convolutions; rank 0 leaves the convolutional blocks out.
    targets: transformer (attention and feed-forward layers) or attention only. ranks: lines `regex = rank` for modules whose path
    matches; 0 leaves them out. magnitude: DoRA. dropout: of the low-rank activations, rank_dropout: of ranks, module_dropout: of
    whole modules. max_norm: largest norm of one module's change, 0 for no limit. factor: of LoKr's two matrices, -1 for even ones.
    norms: also differences of the norms beside the changed modules.
    For oft rank and conv_rank are the most rows of a block, and constraint limits its turning (times the number of rows; 0: no limit).
    """

    kind: AdapterKind = "lora"
    rank: Rank = 16
    alpha: Alpha = 8.0
    conv_rank: ConvRank = 0
    conv_alpha: Alpha = 1.0
    targets: Targets = "transformer"
    unet: bool = True
    text_encoder: bool = False
    ranks: Rules = ""
    magnitude: bool = False
    rank_stabilised: bool = False
    dropout: Chance = 0.0
    rank_dropout: Chance = 0.0
    module_dropout: Chance = 0.0
    max_norm: Annotated[float, Field(ge=0, le=1000)] = 0.0
    factor: Annotated[int, Field(ge=-1, le=1024)] = -1
    constraint: Annotated[float, Field(ge=0, le=1000)] = 0.0
    norms: bool = False


LossName = Literal["l2", "l1", "huber", "smooth_l1"]
HuberSchedule = Literal["constant", "exponential", "snr"]
Weighting = Literal["none", "min_snr", "soft_min_snr", "debiased", "sigma_sqrt", "cosmap"]
TimestepSampler = Literal["uniform", "logit_normal", "mode", "log_sigma"]
MaskScale = Literal["none", "area"]


@settings_port("OBJECTIVE")
class Objective(Settings):
    """What the network is asked to learn; the formulas are in engine/diffusion/training/objectives.py, which checks combinations."""

    loss: LossName = "l2"
    huber_c: Annotated[float, Field(ge=0.0001, le=1)] = 0.1
    huber_scale: Positive = 1.0
    huber_schedule: HuberSchedule = "snr"
    weighting: Weighting = "none"
    gamma: Positive = 5.0
    v_loss_like_noise: bool = False
    v_like_share: Annotated[float, Field(ge=0, le=10)] = 0.0
    noise_offset: Share = 0.0
    noise_offset_random: bool = False
    adaptive_noise_scale: Annotated[float, Field(ge=-10, le=10)] = 0.0
    multires_iterations: Annotated[int, Field(ge=0, le=16)] = 0
    multires_discount: Annotated[float, Field(ge=0.01, le=1)] = 0.3
    input_noise: Share = 0.0
    input_noise_random: bool = False
    zero_terminal_snr: bool = False
    first_timestep: Annotated[int, Field(ge=0, le=999)] = 0
    last_timestep: Annotated[int, Field(ge=1, le=1000)] = 1000
    timesteps: TimestepSampler = "uniform"
    sampler_mean: Annotated[float, Field(ge=-10, le=10)] = 0.0
    sampler_std: Annotated[float, Field(ge=0.01, le=10)] = 1.0
    stratified: bool = False
    shift: Annotated[float, Field(ge=0, le=100)] = 0.0
    mask_scale: MaskScale = "none"
    unmasked_weight: Share = 0.0
    dream: Annotated[float, Field(ge=0, le=100)] = 0.0
    preserve_class: bool = False


Schedule = Literal[
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "cosine_with_min_lr",
    "warmup_stable_decay", "piecewise_constant",
]  # fmt: skip


@settings_port("OPTIMIZER")
class Optimizer(Settings):
    """How the weights move.

    rate: of the diffusion network; text_rate: of the text encoder, trained for the first text_share of the horizon.
    warmup: a number of steps, or below 1 a share of the horizon. horizon: the steps that the schedule is made for, 0 for the length of
    the training. factors: for piecewise_constant, `factor:until step,...,last factor`. up_rate: the rate of LoRA's second matrices as a
    multiple (LoRA+). rates: lines `regex = factor` for modules whose path matches. options: further arguments of the optimizer,
    `name=value ...`. ema: decay of the averaged weights, 0 for none.
    """

    name: str = "AdamW"
    rate: Rate = 1e-4
    text_rate: Rate = 0.0
    text_share: Annotated[float, Field(ge=0.001, le=1)] = 1.0
    schedule: Schedule = "cosine"
    warmup: Annotated[float, Field(ge=0, le=1_000_000)] = 0.05
    horizon: StepsOrNone = 0
    cycles: Count = 1
    power: Positive = 1.0
    min_rate_share: Chance = 0.1
    factors: Annotated[str, Field(max_length=1000)] = ""
    max_grad_norm: Annotated[float, Field(ge=0, le=1_000_000)] = 1.0
    up_rate: Positive = 1.0
    rates: Rules = ""
    options: Annotated[str, Field(max_length=1000)] = ""
    ema: Annotated[float, Field(ge=0, le=0.999999)] = 0.0


Unit = Literal["steps", "epochs", "images"]


@settings_port("TRAIN_PLAN")
class Plan(Settings):
    """How long and how: steps are optimizer steps, each over batch_size x accumulation x processes pictures.

    save_every: the length of a segment, after which the state is kept. validate_every: steps between two measurements of the loss at
    fixed timesteps and noise, 0 for none. unit: what these three count. processes: that share each step, one for each graphics device.
    fp8_base: the frozen weights of the diffusion network are kept in float8. swap: this share of them lies in
    main memory. fused_backward: whole networks move within the backward pass.
    """

    steps: Steps = 1000
    save_every: Steps = 250
    batch_size: Count = 2
    accumulation: Count = 1
    seed: Seed = 0
    checkpointing: bool = False
    validate_every: StepsOrNone = 0
    unit: Unit = "steps"
    processes: Processes = 1
    fp8_base: bool = False
    swap: Share = 0.0
    fused_backward: bool = False


@settings_port("SAMPLE_PLAN")
class SamplePlan(Settings):
    """Pictures to draw after each segment: one for each line of prompts, all from the same seed. width, height: pixels.

    A line may change the rest for itself, see training/sample_prompts.py.
    """

    prompts: str = Field(default="", max_length=100_000)
    negative: str = Field(default="", max_length=100_000)
    width: int = Field(default=512, ge=16, le=16384)
    height: int = Field(default=512, ge=16, le=16384)
    steps: int = Field(default=20, ge=1, le=10_000)
    cfg: float = Field(default=7.0, ge=0, le=100)
    sampler_name: str = "euler"
    scheduler: str = "normal"
    seed: Seed = 0
    filename_prefix: str = "training"


@settings_port("FILE_PLAN")
class FilePlan(Settings):
    """Files of the adapter after each segment: name before `-step000250`, keep_last of them (0: all), in a number format.

    tensorboard: also event files of the curve.
    """

    name: str = "my_lora"
    keep_last: int = Field(default=0, ge=0, le=10_000)
    dtype: str = "float16"
    tensorboard: bool = False


Number = Annotated[float, Field(allow_inf_nan=False)]
Step = Annotated[int, Field(ge=0, le=10_000_000)]
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]


class _Record(BaseModel):
    """The form of a state's record; what its parts hold is for the trainer to judge."""

    model_config = ConfigDict(strict=True)

    step: Step
    curve: list[Annotated[list[Number], Field(min_length=3, max_length=3)]]
    validation: list[Pair]
    prior: list[Pair] = []
    recipe: dict[str, Any]
    family: str
    economy: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: Any


class StateCodec:
    """Keeps a state's tensors, and the rest of it as JSON."""

    def encode(self, value: TrainingState) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(value.tensors), {"record": value.record}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> TrainingState:
        """Raises ValueError for a record of another form."""
        _Record.model_validate(metadata["record"])
        return TrainingState(dict(tensors), metadata["record"])


@port("TRAINING_STATE", codec=StateCodec())
@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that the next step depends on besides the settings and the data: weights, optimizer, schedule, scaler, averages.

    tensors: by `part.name`, on the CPU: `adapter.` by the names of adapter files, `average.` likewise, `optimizer.`.
    record: the rest, as JSON: step (optimizer steps done), curve (rows of LossCurve), and what belongs to the tensors.
    Random numbers are made from the seed and the step, so no generator is part of it.
    """

    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]

    @property
    def step(self) -> int:
        return self.record["step"]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, without its name."""
        return {key[len(name) + 1 :]: tensor for key, tensor in self.tensors.items() if key.startswith(f"{name}.")}


class CurveCodec:
    """Keeps a curve as JSON."""

    def encode(self, value: LossCurve) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {name: [list(row) for row in getattr(value, name)] for name in ("steps", "validation", "prior")}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> LossCurve:
        rows, checks, prior = metadata["steps"], metadata["validation"], metadata.get("prior", [])
        pairs = [tuple((step, loss) for step, loss in pairs) for pairs in (checks, prior)]
        return LossCurve(tuple((step, loss, rate) for step, loss, rate in rows), *pairs)


@port("LOSS_MAP", codec=CurveCodec())
@dataclass(frozen=True)
class LossCurve:
    """steps: (step, loss, learning rate) of every optimizer step from 1; validation: (step, loss at fixed timesteps and noise).

    prior: (step, loss) of the regularisation pictures alone, of every step that saw some.
    """

    steps: tuple[tuple[int, float, float], ...] = ()
    validation: tuple[tuple[int, float], ...] = ()
    prior: tuple[tuple[int, float], ...] = ()
