"""Reading a workflow document. A table decides what a JSON is: Easel's format, ComfyUI's bare API prompt, or ComfyUI's UI format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import InvalidWorkflow, Problem, QuotaExceeded
from engine.graph.graph import Link
from engine.graph.limits import DEFAULT_LIMITS, Limits
from engine.graph.literals import brief
from engine.graph.strict_json import check_json, read_json
from engine.graph.workflow import FORMAT, Entry, Subgraph, SubgraphInput, Workflow, read_value

LONGEST_NAME = 1_000
_KNOWN = ("format", "revision", "nodes", "subgraphs", "layout", "requires")


def parse_document(source: Any, limits: Limits = DEFAULT_LIMITS, *, checked: bool = False) -> Workflow:
    """Read any workflow document: its text, or what it was parsed to. `checked` says that `read_json` did it with the same limits.

    Raises InvalidWorkflow with every fault of its structure, or QuotaExceeded. Classes, names and values are the business of `validate`.
    """
    document = read_json(source, limits) if isinstance(source, bytes | str) else source
    if not isinstance(document, Mapping):
        raise _unknown(f"It is {'a list' if isinstance(document, list) else 'a single value'}, not an object.")
    if not isinstance(source, bytes | str) and not checked:
        check_json(dict(document), limits)
    document = dict(document)
    declared = document.get("format")
    if isinstance(declared, str) and declared.startswith("easel/"):
        return _Reader(limits).easel(document)
    if isinstance(document.get("nodes"), list):
        raise InvalidWorkflow(
            [
                Problem(
                    "ui_format",
                    "This is a workflow as ComfyUI's editor saves it; only its API format can be read here.",
                    hint="In ComfyUI choose Export (API), and open that file.",
                )
            ]
        )
    if any(isinstance(value, dict) and "class_type" in value for value in document.values()):
        return _Reader(limits).bare(document)
    raise _unknown('It has no "format", no "nodes" list, and no value with a "class_type".')


def parse_prompt(prompt: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS, *, checked: bool = False) -> Workflow:
    """Read what is known to be a bare API prompt, such as `prompt` in the body of POST /prompt; an empty one is an empty workflow."""
    if not isinstance(prompt, Mapping):
        raise InvalidWorkflow([Problem("invalid_prompt", "The prompt is not an object of nodes.", hint='Send {"1": {"class_type": ...}}.')])
    if not checked:
        check_json(dict(prompt), limits)
    return _Reader(limits).bare(dict(prompt))


def _unknown(reason: str) -> InvalidWorkflow:
    return InvalidWorkflow(
        [
            Problem(
                "unknown_format", f"The document is no workflow. {reason}", hint=f'Open a file with "format": "{FORMAT}", or an API prompt.'
            )
        ]
    )


class _Reader:
    """Collects what is wrong while it reads; raises at the end."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.problems: list[Problem] = []
        self.count = 0
        self.strict_modes = False  # an API prompt of another program may keep anything in _meta

    def bare(self, prompt: dict[str, Any]) -> Workflow:
        workflow = Workflow(nodes=self.nodes(prompt, ""), source="api")
        self.raise_problems()
        return workflow

    def easel(self, document: dict[str, Any]) -> Workflow:
        if document["format"] != FORMAT:
            raise InvalidWorkflow(
                [
                    Problem(
                        "newer_format",
                        f"The workflow has the format {brief(document['format'])}; this Easel reads {FORMAT}.",
                        hint="Update Easel.",
                    )
                ]
            )
        self.strict_modes = True
        revision = document.get("revision", 0)
        if type(revision) is not int or revision < 0:
            self.problem("bad_revision", f"revision is {brief(revision)}, not a whole number from 0.", "Write 0.")
        workflow = Workflow(
            nodes=self.nodes(self.block(document, "nodes"), ""),
            subgraphs={
                name: self.subgraph(name, raw)
                for name, raw in self.block(document, "subgraphs").items()
                if self.is_object(raw, f"subgraph {brief(name)}")
            },
            layout=self.block(document, "layout"),
            requires=self.block(document, "requires"),
            revision=revision if type(revision) is int else 0,
            extra={key: value for key, value in document.items() if key not in _KNOWN},
        )
        self.versions(workflow.requires)
        self.raise_problems()
        return workflow

    def subgraph(self, name: str, raw: dict[str, Any]) -> Subgraph:
        place = f"subgraph {brief(name)}"
        inputs = {
            key: spec for key, spec in self.block(raw, "inputs", place).items() if self.is_object(spec, f"{place}, input {brief(key)}")
        }
        for key, spec in inputs.items():
            if not isinstance(spec.get("type", ""), str):
                self.problem(
                    "bad_subgraph_input", f"{place}, input {brief(key)}: its type is no text.", 'Write a type name such as "IMAGE".'
                )
        outputs: dict[str, Link | SubgraphInput] = {}
        for key, value in self.block(raw, "outputs", place).items():
            read = read_value(value)
            if isinstance(read, Link | SubgraphInput):
                outputs[key] = read
            else:
                hint = 'Write ["node id", 0], or {"__input__": "name"} to pass an input through.'
                self.problem("bad_subgraph_output", f"{place}, output {brief(key)}: {brief(value)} is no link.", hint)
        known = ("inputs", "outputs", "nodes")
        extra = {key: value for key, value in raw.items() if key not in known}
        return Subgraph(self.nodes(self.block(raw, "nodes", place), f"{place}, "), inputs, outputs, extra)

    def nodes(self, raw: dict[str, Any], place: str) -> dict[str, Entry]:
        self.count += len(raw)
        if self.count > self.limits.nodes:
            raise QuotaExceeded(
                f"The workflow has more than {self.limits.nodes} nodes.",
                hint="Split it, or raise the limit in the settings.",
                details={"limit": self.limits.nodes},
            )
        found: dict[str, Entry] = {}
        for id, value in raw.items():
            entry = self.entry(id, value, place)
            if entry is not None:
                found[id] = entry
        return found

    def entry(self, id: str, raw: Any, place: str) -> Entry | None:
        if type(raw) is not dict or len(id) > LONGEST_NAME:
            shown = "its id is too long" if len(id) > LONGEST_NAME else f"it is {brief(raw)}, not an object"
            self.problem("invalid_node", f"{place}node {brief(id)}: {shown}.", 'Write {"class_type": ..., "inputs": {...}}.', id)
            return None
        class_type = raw.get("class_type")
        if type(class_type) is not str or not class_type or len(class_type) > LONGEST_NAME:
            reason = "has no class_type" if class_type is None else f"has the class_type {brief(class_type)}, which is no name"
            self.problem("missing_class_type", f"{place}node {brief(id)} {reason}.", 'Add "class_type": the id of a node.', id)
            return None
        inputs = raw.get("inputs", {})
        if type(inputs) is not dict:
            self.problem("invalid_node", f"{place}node {brief(id)}: inputs is {brief(inputs)}, not an object.", "Write {} for none.", id)
            return None
        read = {name: value if type(value) in _PLAIN else read_value(value) for name, value in inputs.items()}
        meta = raw.get("_meta")
        extra = {key: value for key, value in raw.items() if key not in ("class_type", "inputs", "_meta")} if len(raw) > 2 else None
        if type(meta) is not dict:  # ComfyUI ignores whatever stands there, so it is kept and not looked at
            return Entry(class_type, read, {}, {**(extra or {}), "_meta": meta} if "_meta" in raw else extra or None)
        if self.strict_modes and meta.get("mode", "run") not in ("run", "mute", "bypass"):
            mode = brief(meta["mode"])
            self.problem("bad_mode", f"{place}node {brief(id)}: mode {mode} is unknown.", "Use run, mute or bypass.", id)
            return None
        return Entry(class_type, read, meta, extra or None)

    def versions(self, requires: dict[str, Any]) -> None:
        versions = requires.get("nodes", {})
        if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
            self.problem("bad_requires", "requires.nodes is not an object of versions.", 'Write {"KSampler": "1.0.0"}.')

    def block(self, document: dict[str, Any], key: str, place: str = "the workflow") -> dict[str, Any]:
        value = document.get(key, {})
        return value if self.is_object(value, f"{place}: {key}") else {}

    def is_object(self, value: Any, place: str) -> bool:
        if isinstance(value, dict):
            return True
        self.problem("invalid_format", f"{place} is {brief(value)}, not an object.", "Write {} for none.")
        return False

    def problem(self, code: str, message: str, hint: str, node_id: str | None = None) -> None:
        if len(self.problems) < self.limits.problems:
            self.problems.append(Problem(code, message, node_id=node_id, hint=hint))

    def raise_problems(self) -> None:
        if self.problems:
            raise InvalidWorkflow(self.problems)


_PLAIN = frozenset({str, int, float, bool, type(None)})
