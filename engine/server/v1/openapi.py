"""/openapi.json and the docs page, both made from the routing table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

import engine
from engine.graph.wire import dump_json
from engine.server.v1.forms import ErrorAnswer
from engine.server.v1.routing import Route

_PARAMETER = re.compile(r"\{(\w+)(:[^}]*)?\}")
_REFERENCES = "#/components/schemas/{model}"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 description of /api/v1."""
    answers = {route.answer for route in routes if route.answer is not None} | {ErrorAnswer}
    bodies = {route.body for route in routes if route.body is not None}
    pairs = [(model, "serialization") for model in sorted(answers, key=_name)] + [
        (model, "validation") for model in sorted(bodies, key=_name)
    ]
    references, definitions = models_json_schema(pairs, ref_template=_REFERENCES)  # type: ignore[arg-type]
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(_plain(route.path), {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Easel",
            "version": engine.__version__,
            "description": "Workflows, jobs and files. Routes of ComfyUI's protocol exist beside these and are not described here.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Only where the server was given a token."}},
        },
        "security": [{}, {"token": []}],
    }


def _name(model: Any) -> str:
    return str(model.__name__)


def _plain(path: str) -> str:
    return _PARAMETER.sub(r"{\1}", path)


def _operation(route: Route, references: Any) -> dict[str, Any]:
    parameters = [
        {"name": match[1], "in": "path", "required": True, "schema": {"type": "string"}} for match in _PARAMETER.finditer(route.path)
    ]
    if route.query is not None:
        schema = route.query.model_json_schema()
        for name, described in schema["properties"].items():
            parameters.append({"name": name, "in": "query", "required": False, "schema": described})
    answered: dict[str, Any] = {"description": route.summary}
    if route.status != 204:
        shape = references[(route.answer, "serialization")] if route.answer is not None else {}
        answered["content"] = {route.media: {"schema": shape}}
    operation: dict[str, Any] = {
        "operationId": route.handler.__module__.rpartition(".")[2] + "_" + route.handler.__name__,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": parameters,
        "responses": {
            str(route.status): answered,
            "default": {
                "description": "An error",
                "content": {"application/json": {"schema": references[(ErrorAnswer, "serialization")]}},
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": references[(route.body, "validation")]}}}
    elif route.raw_body:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    return operation


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Easel: the API</title>
<link rel="stylesheet" href="../../style/theme.css"><link rel="icon" href="../../favicon.svg"></head>
<body class="docs"><main><h1>Easel: the API</h1>
<p>Requests and answers are JSON; unknown fields and values of another type are refused. An error is
<code>{"error": {"code", "message", "hint", "node_id", "details"}}</code>. The machine-readable form of this page is
<a href="../../openapi.json">/openapi.json</a>.</p>
%s</main></body></html>
"""


def docs_page(routes: Sequence[Route]) -> str:
    sections = []
    for tag in dict.fromkeys(route.tag for route in routes):
        rows = "".join(_row(route) for route in routes if route.tag == tag)
        sections.append(f"<h2>{escape(tag.capitalize())}</h2>{rows}")
    return _PAGE % "".join(sections)


def _row(route: Route) -> str:
    takes = _fields(route.query, "Query") + _fields(route.body, "Body")
    if route.raw_body:
        takes += "<p>Body: the file itself.</p>"
    return (
        f"<section><h3><code>{route.method} {escape(_plain(route.path))}</code></h3><p>{escape(route.summary)}</p>"
        f"{takes}{_fields(route.answer, 'Answer')}</section>"
    )


def _fields(model: Any, title: str) -> str:
    if model is None:
        return ""
    rows = []
    for name, field in model.model_fields.items():
        kind = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation).replace("typing.", "")
        must = " (required)" if field.is_required() and title == "Body" else ""
        rows.append(f"<dt><code>{escape(name)}</code></dt><dd>{escape(kind)}{must}. {escape(field.description or '')}</dd>")
    return f"<details><summary>{title}</summary><dl>{''.join(rows)}</dl></details>"


def add_to(router: web.UrlDispatcher, routes: Sequence[Route]) -> None:
    """/openapi.json (also below /api/v1) and /api/v1/docs."""

    async def openapi(request: web.Request) -> web.Response:
        return web.Response(body=dump_json(document(routes)), content_type="application/json", charset="utf-8")

    async def docs(request: web.Request) -> web.Response:
        return web.Response(text=docs_page(routes), content_type="text/html")

    router.add_get("/openapi.json", openapi)
    router.add_get("/api/v1/openapi.json", openapi)
    router.add_get("/api/v1/docs", docs)
