"""From a request's body to a job that may be queued: parse, lay flat, validate, and the forms in which the job is kept."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from engine.comfy.protocol import problems
from engine.comfy.protocol.history import SECRETS
from engine.errors import BadRequest, InvalidWorkflow
from engine.graph import garbage
from engine.graph.api_format import api_prompt
from engine.graph.catalogue import Catalogue
from engine.graph.graph import Graph
from engine.graph.limits import Limits
from engine.graph.strict_json import read_json
from engine.graph.validation import validate
from engine.graph.wire import dump_json, encode_graph
from engine.graph.workflow_reader import parse_document, parse_prompt
from engine.jobs.records import NewJob

LONGEST_ID = 200

_SCALARS = (int, float, str)


class Refused(Exception):
    """A prompt that ComfyUI's clients are told is refused; `answer` is the body of the 400."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["error"]["message"])
        self.answer = answer


@garbage.not_collected()
def comfy_job(body: bytes, catalogue: Catalogue, limits: Limits) -> tuple[NewJob, dict[str, Any]]:
    """The job of a POST /prompt and its node_errors. Raises Refused; BadRequest for a field of the wrong type."""
    try:
        request = read_json(body, limits)
        if not isinstance(request, dict):
            raise Refused({"error": problems.malformed("The body is not a JSON object"), "node_errors": {}})
        if "prompt" not in request:
            raise Refused({"error": problems.no_prompt(), "node_errors": {}})
        workflow = parse_prompt(request["prompt"], limits, checked=True)
    except InvalidWorkflow as error:
        raise Refused({"error": problems.structural(error.problems), "node_errors": {}}) from error
    targets = _texts(request, "partial_execution_targets")
    validated = validate(workflow.flatten(catalogue, limits), catalogue, strict=False, targets=targets, limits=limits)
    found = problems.node_errors(validated, catalogue)
    refusal = problems.refusal(validated, catalogue)
    if refusal is not None:
        raise Refused({"error": refusal, "node_errors": found})
    extra = {name: value for name, value in _object(request, "extra_data").items() if name not in SECRETS}
    client_id = request.get("client_id") or extra.get("client_id") or ""
    if client_id:
        extra["client_id"] = client_id
    job = NewJob(
        id=_job_id(request.get("prompt_id")),
        prompt=dump_json(_as_submitted(request["prompt"], validated.graph, catalogue)),
        graph=encode_graph(validated.graph, validated.outputs),
        targets=validated.outputs,
        total=len(validated.graph.nodes),
        client_id=str(client_id),
        extra=dump_json(extra),
        digest=_digest(request) if request.get("prompt_id") is not None else "",
        number=_number(request),
        front=bool(request.get("front")),
        preemptible=_trains(validated.graph, catalogue),
    )
    return job, found


@garbage.not_collected()
def strict_job(
    document: Mapping[str, Any],
    catalogue: Catalogue,
    limits: Limits,
    *,
    job_id: str | None,
    targets: Sequence[str] | None,
    extra: Mapping[str, Any],
    client_id: str,
    front: bool,
) -> NewJob:
    """The job of a workflow document. All or nothing: raises InvalidWorkflow with every problem."""
    workflow = parse_document(document, limits, checked=True)
    validated = validate(workflow.flatten(catalogue, limits), catalogue, strict=True, targets=targets, limits=limits)
    validated.raise_for_problems()
    request = {"workflow": document, "targets": targets, "extra": extra, "client_id": client_id, "front": front}
    return NewJob(
        id=_job_id(job_id),
        prompt=dump_json(api_prompt(validated.graph, catalogue, "comfy")),
        graph=encode_graph(validated.graph, validated.outputs),
        targets=validated.outputs,
        total=len(validated.graph.nodes),
        client_id=client_id,
        extra=dump_json({**extra, "easel": workflow.to_json()}),
        digest=_digest(request) if job_id is not None else "",
        front=front,
        preemptible=_trains(validated.graph, catalogue),
    )


def _trains(graph: Graph, catalogue: Catalogue) -> bool:
    """Whether a node asks for gradients: such work is long, and can stop at a step and go on."""
    types = {node.type for node in graph.nodes.values()}
    return any(catalogue.nodes[kind].grad for kind in types if kind in catalogue.nodes)


def _as_submitted(original: Mapping[str, Any], graph: Graph, catalogue: Catalogue) -> dict[str, Any]:
    """The prompt as the client wrote it, with the values that its literals were cast to."""
    names: dict[str, Mapping[str, str]] = {}
    shown = {}
    for node_id, entry in original.items():
        node = graph.nodes.get(node_id)
        values = node.inputs if node is not None else {}
        if entry["class_type"] not in names:
            found = catalogue.find(entry["class_type"])
            names[entry["class_type"]] = found[1].inputs if found is not None and found[1] is not None else {}
        canonical = names[entry["class_type"]]
        inputs = {name: _cast(value, values.get(canonical.get(name, name))) for name, value in (entry.get("inputs") or {}).items()}
        shown[node_id] = {**entry, "inputs": inputs}
        shown[node_id].pop("is_changed", None)
    return shown


def _cast(value: Any, cast: Any) -> Any:
    return cast if isinstance(value, _SCALARS) and isinstance(cast, _SCALARS) else value


def _job_id(given: Any) -> str:
    if given is None:
        return str(uuid.uuid4())
    text = str(given) if isinstance(given, str | int) else ""
    if not text or len(text) > LONGEST_ID or not text.isprintable():
        raise BadRequest("The job's id is no printable text of 1 to 200 characters", hint="Leave it out to get one.")
    return text


def _number(request: Mapping[str, Any]) -> float | None:
    number = request.get("number")
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number) or abs(number) > 2**53:
        raise BadRequest("number is not a number", hint="Leave it out; jobs then run in the order in which they came.")
    return float(number)


def _object(request: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = request.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is not an object")
    return value


def _texts(request: Mapping[str, Any], name: str) -> list[str] | None:
    value = request.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadRequest(f"{name} is not a list of node ids")
    return [str(item) for item in value]


def _digest(request: Any) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
