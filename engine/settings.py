"""Every setting of Easel, once: its name, type, default and meaning. Command flags, `docs/settings.md` and validation come from here.

A value comes from, in rising precedence: the default, `easel.toml` of the data folder, an environment variable `EASEL_<NAME>`, a flag.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from engine.errors import InvalidSettings

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds engine/, nodes/, web/ and workflows/: a checkout, or where pip installs packages."""

FILE_NAME = "easel.toml"
PREFIX = "EASEL_"

Precision = Literal["auto", "reference", "fp32", "bf16", "fp16"]


def default_data() -> Path:
    """The checkout when Easel runs from one, else the current folder."""
    return ROOT if (ROOT / "pyproject.toml").is_file() else Path.cwd()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _split_paths(value: Any) -> Any:
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _split_names(value: Any) -> Any:
    parts = [value] if isinstance(value, str) else value
    return [name.strip() for part in parts for name in str(part).split(",") if name.strip()] if isinstance(parts, list | tuple) else value


Folder = Annotated[Path, AfterValidator(_absolute)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
Folders = Annotated[tuple[Folder, ...], NoDecode, BeforeValidator(_split_paths)]


class Settings(BaseSettings):
    """All settings of one process. Rooms get this object when they are built; none reads the environment or the file itself."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True)

    data: Folder = Field(
        default_factory=default_data,
        description="The data folder: models, input, output, temp, datasets, workflows, custom_nodes, user, state. "
        "Default: the checkout when Easel runs from one, else the current folder.",
    )
    models: Folders = Field(
        default=(),
        description="A further folder of models with sub-folders such as checkpoints and loras, used in place. Repeatable.",
    )
    datasets: Folders = Field(
        default=(),
        description="A folder of training pictures outside the data folder, used in place under its own name. Repeatable.",
    )
    extra_model_paths: Folder | None = Field(
        default=None,
        description="A file in ComfyUI's extra_model_paths.yaml format. Default: the one in the data folder.",
    )

    packages: Names = Field(
        default=("nodes",), description="Python packages whose nodes are loaded, besides installed packs and custom_nodes."
    )

    host: str = Field(default="127.0.0.1", description="The address to listen on. Any address that other machines can reach needs a token.")
    port: int = Field(default=8188, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    token: SecretStr | None = Field(default=None, min_length=16, description="What a client must send as `Authorization: Bearer TOKEN`.")

    allowed_hosts: Names = Field(
        default=(),
        description="Further names under which browsers may reach the server. Loopback names and plain addresses always may.",
    )
    cancel_grace: float = Field(default=10.0, ge=0, description="Seconds a cancelled job has to stop before its process is ended.")
    worker_silence: float = Field(default=120.0, ge=5, description="Seconds without a sign of life after which the worker is ended.")

    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="Where models run: auto (a GPU if there is one), cpu, mps, cuda or cuda:N.",
    )
    precision: Precision = Field(
        default="auto",
        description="auto: the fast type the device has natively. reference: what ComfyUI does. Else that type.",
    )

    memory_cache: ByteSize = Field(default=ByteSize(2 * 2**30), ge=0, description="Most memory that kept results of nodes may take.")
    disk_cache: ByteSize = Field(default=ByteSize(20 * 2**30), ge=0, description="Most disk space that kept results of nodes may take.")
    keep_intermediates: bool = Field(default=True, description="Keep results of nodes on disk, for later runs and after a restart.")
    max_temp: ByteSize = Field(
        default=ByteSize(10 * 2**30), ge=0, description="Most disk space that files of temp may take; the oldest go when the server sweeps."
    )
    max_waiting: int = Field(default=10_000, ge=1, description="How many jobs may wait at a time; further ones are refused.")
    max_history: int = Field(default=10_000, ge=1, description="How many finished jobs the history keeps.")
    max_history_bytes: ByteSize = Field(
        default=ByteSize(4 * 2**30), ge=0, description="Most disk space that finished jobs, with their workflows and events, may take."
    )

    previews: bool = Field(default=True, description="Send pictures of the work in progress while sampling.")
    preview_size: int = Field(default=512, ge=16, le=4096, description="Longest side of a preview, in pixels.")
    metadata: bool = Field(default=True, description="Write the workflow into the pictures and latents that are saved.")

    max_body: ByteSize = Field(default=ByteSize(100 * 2**20), ge=1024, description="Largest body of a request, uploads included.")
    max_nodes: int = Field(default=200_000, ge=1, description="Most nodes in one workflow.")
    max_steps: int = Field(default=1_000_000, ge=1, description="Most nodes that one run may come to, those that loops make included.")
    max_depth: int = Field(default=64, ge=8, le=500, description="Deepest nesting of JSON that is read.")
    max_text: int = Field(default=1_000_000, ge=1, description="Longest text in one input of a workflow, in characters.")
    max_pixels: int = Field(default=100_000_000, ge=1, description="Most pixels in one picture that is read.")

    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="How much the log tells.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        chosen = {**env_settings(), **init_settings()}
        return init_settings, env_settings, _DataFile(settings_cls, Path(chosen.get("data") or default_data()))

    def for_worker(self) -> str:
        """The settings as JSON for `Settings.model_validate_json` in another process; the token stays out, a worker has no use for it."""
        return self.model_dump_json(exclude={"token"})


class _DataFile(PydanticBaseSettingsSource):
    """`easel.toml` of the data folder. Paths in it are relative to that folder."""

    def __init__(self, settings_cls: type[BaseSettings], data: Path) -> None:
        super().__init__(settings_cls)
        self.path = _absolute(data) / FILE_NAME

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        try:
            values = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidSettings(
                f"{self.path} cannot be read: {error}", hint="Correct the file; docs/settings.md lists the settings."
            ) from error
        if "data" in values:
            raise InvalidSettings(f"{self.path} sets `data`, but it lies in the data folder itself", hint=f"Use --data or {PREFIX}DATA.")
        for name in ("models", "datasets", "extra_model_paths"):
            if name in values:
                values[name] = self._beside(values[name])
        return values

    def _beside(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._beside(item) for item in value]
        return self.path.parent / Path(value).expanduser() if isinstance(value, str) else value


def load(**flags: Any) -> Settings:
    """The settings in force; a flag that is None or an empty list was not given. Raises InvalidSettings, which names every wrong value."""
    return load_with_origins(flags)[0]


def load_with_origins(flags: Mapping[str, Any]) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each of them where its value comes from."""
    given = {name: value for name, value in flags.items() if value is not None and value != []}
    from_environment = EnvSettingsSource(Settings)()
    data = {**from_environment, **given}.get("data") or default_data()
    file = _DataFile(Settings, Path(data))
    origins = dict.fromkeys(Settings.model_fields, "default")
    origins |= dict.fromkeys(file(), f"file {file.path}")
    origins |= {name: f"environment {PREFIX}{name.upper()}" for name in from_environment}
    origins |= {name: f"flag {flag_name(name)}" for name in given}
    try:
        return Settings(**given), origins
    except ValidationError as error:
        wrong = [_describe(problem, origins) for problem in error.errors()]
        raise InvalidSettings("; ".join(wrong), hint="`easel config` and docs/settings.md list the settings.") from error


def _describe(problem: Any, origins: Mapping[str, str]) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    return f"{name} ({origins.get(name, 'unknown origin')}): {problem['msg']}"


def unknown_variables() -> list[str]:
    """Environment variables that look like settings and are none."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def shown_default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    if isinstance(field.default, ByteSize):
        return field.default.human_readable().replace(".0", "")
    if isinstance(field.default, tuple):
        return ", ".join(map(str, field.default))
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def markdown() -> str:
    """The page `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        f"A value comes from, in rising precedence: the default, `{FILE_NAME}` in the data folder, an environment variable, a flag.",
        "`easel config` prints each setting with its value and where it comes from. Sizes take units (`2GiB`, `500MB`).",
        "Paths in the file are relative to it. Several folders in one environment variable are separated as in `PATH`.",
        "",
        "This page is written by `python -m engine.settings`.",
        "",
        "| setting | flag | environment | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = shown_default(field)
        meaning = re.sub(r"\s+", " ", field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | `{flag_name(name)}` | `{PREFIX}{name.upper()}` | {f'`{default}`' if default else ''} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
