"""Jobs as `/queue` and `/history` show them."""

from __future__ import annotations

import json
from typing import Any

from engine.comfy.protocol.messages import execution_cached, execution_end, execution_start
from engine.jobs.records import Body, Job, Result
from engine.jobs.states import State

SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")
"""Keys of extra_data that are never stored."""


def queue_item(job: Job, body: Body) -> list[Any]:
    """`[number, id, prompt, extra_data, outputs]`."""
    return [job.number, job.id, json.loads(body.prompt), json.loads(body.extra), list(job.targets)]


def history_entry(job: Job, body: Body, result: Result) -> dict[str, Any]:
    messages = [execution_start(job.id, job.started or job.created)]
    if job.attempt:
        messages.append(execution_cached(job.id, result.cached, job.started or job.created))
    messages.append(execution_end(job.id, job.state.value, job.finished or job.created, result, job.reason))
    return {
        "prompt": queue_item(job, body),
        "outputs": result.ui,
        "status": {
            "status_str": "success" if job.state is State.SUCCEEDED else "error",
            "completed": job.state is State.SUCCEEDED,
            "messages": messages,
        },
        "meta": {node: _meta(node, *result.places.get(node, (node, None))) for node in result.ui},
    }


def _meta(node: str, shown: str, parent: str | None) -> dict[str, Any]:
    return {"node_id": node, "display_node": shown, "parent_node": parent, "real_node_id": shown}
