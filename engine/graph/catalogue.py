"""The catalogue: what nodes exist, as data. It is all that validation, the API and the editor need; no node code is loaded to read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

ANY = "*"


class Lane(StrEnum):
    """Where a node runs: one at a time on the device, in a small pool of CPU threads, or in a pool for waiting on files and networks."""

    DEVICE = "device"
    CPU = "cpu"
    IO = "io"


class CachePolicy(StrEnum):
    DEFAULT = "default"
    ALWAYS_RUN = "always_run"  # a new value each run
    NEVER_STORE = "never_store"  # memory tier only, never on disk
    IGNORE = "ignore"  # this node's own literals do not enter its consumers' digests


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class InputInfo(_Data):
    """One input: a socket, and for literals also a widget.

    `type` is a port name (`MODEL`), a literal type (`INT`, `FLOAT`, `STRING`, `BOOLEAN`, `COMBO`), several joined by commas (any of them),
    `*` for anything, or a type variable (`$T`: the same type wherever it stands in one node).
    """

    name: str
    type: str
    required: bool = True
    default: Any = None
    has_default: bool = False
    minimum: float | int | None = None
    maximum: float | int | None = None
    step: float | int | None = None
    choices: tuple[Any, ...] | None = None
    folder: str | None = None  # choices are the files of this model folder, or of `input`
    pattern: str | None = None
    max_length: int | None = None
    multiline: bool = False
    lazy: bool = False
    series: bool = False  # takes the whole tuple of values
    variadic: bool = False  # any number of sockets name0, name1, ...
    seed: bool = False  # offers "new value after each run"
    socket_only: bool = False
    widget: dict[str, Any] = Field(default_factory=dict)  # further hints for an editor: upload, dynamic prompts, round, labels
    help: str = ""


class OutputInfo(_Data):
    name: str
    type: str
    series: bool = False  # gives a tuple of values
    help: str = ""


class AliasInfo(_Data):
    """Another id under which the node answers, with the names that inputs and outputs have there."""

    id: str
    display_name: str = ""
    category: str = ""
    module: str = "nodes"
    inputs: dict[str, str] = Field(default_factory=dict)  # alias name -> canonical name
    outputs: tuple[str, ...] | None = None  # names shown; order and number are the node's
    order: tuple[str, ...] | None = None  # order of inputs under this id, by alias name
    defaults: dict[str, Any] = Field(default_factory=dict)  # where they differ, by alias name


class MigrationInfo(_Data):
    """How the inputs of a node saved by a version before `version` become today's: new names, new spellings of values,
    and values that keep the old behaviour where an input did not exist yet."""

    version: str
    rename: dict[str, str] = Field(default_factory=dict)  # old name -> new name
    values: dict[str, dict[str, Any]] = Field(default_factory=dict)  # input (new name) -> {old text: new value}
    defaults: dict[str, Any] = Field(default_factory=dict)


class NodeInfo(_Data):
    id: str
    display_name: str
    category: str
    help: str = ""
    inputs: tuple[InputInfo, ...] = ()
    outputs: tuple[OutputInfo, ...] = ()
    aliases: tuple[AliasInfo, ...] = ()
    version: str = "1.0.0"
    code_version: str = ""  # digest of the sources that the node's module reaches
    module: str = ""
    lane: Lane = Lane.CPU
    cache: CachePolicy = CachePolicy.DEFAULT
    output_node: bool = False
    deprecated: bool = False
    experimental: bool = False
    grad: bool = False
    fingerprinted: bool = False  # has a `fingerprint` function, run in the worker
    migrations: tuple[MigrationInfo, ...] = ()  # in order of version


class Catalogue(_Data):
    """All nodes by canonical id. `files` are the choices of the folders that inputs name."""

    nodes: dict[str, NodeInfo] = Field(default_factory=dict)
    files: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    failures: dict[str, str] = Field(default_factory=dict)  # module or pack -> why it did not load

    def model_post_init(self, context: Any) -> None:
        object.__setattr__(self, "_aliases", {alias.id: (node, alias) for node in self.nodes.values() for alias in node.aliases})

    def find(self, class_type: str) -> tuple[NodeInfo, AliasInfo | None] | None:
        """The node that answers to a submitted id, and the alias it was asked by."""
        node = self.nodes.get(class_type)
        if node is not None:
            return node, None
        aliases: Mapping[str, tuple[NodeInfo, AliasInfo]] = self._aliases  # type: ignore[attr-defined]
        return aliases.get(class_type)

    def ids(self) -> Iterable[str]:
        """Every id that a workflow may use, canonical ones first."""
        yield from self.nodes
        for node in self.nodes.values():
            yield from (alias.id for alias in node.aliases)
