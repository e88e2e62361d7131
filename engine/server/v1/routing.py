"""The table of /api/v1: each route once, with what it takes and gives. Handlers, checks, /openapi.json and the docs page come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import BadRequest
from engine.graph.strict_json import read_json
from engine.server.responses import off_loop
from engine.server.state import server_of

PREFIX = "/api/v1"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A request: JSON types at their word, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Query(BaseModel):
    """Query parameters: texts that must be what they stand for, no unknown ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: Any = None
    status: int = 200
    raw_body: bool = False
    media: str = "application/json"


class Table:
    """Routes of one subject."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.routes: list[Route] = []

    def add(self, method: str, path: str, **described: Any) -> Callable[[Handler], Handler]:
        """The summary is the handler's docstring."""

        def decorate(handler: Handler) -> Handler:
            summary = " ".join((handler.__doc__ or "").split())
            self.routes.append(Route(method, PREFIX + path, handler, summary, self.tag, **described))
            return handler

        return decorate


async def read_body(request: web.Request, model: type[M]) -> M:
    """The body, checked. Raises BadRequest, which names every field that is wrong."""
    body, limits = await request.read(), server_of(request).limits
    return await off_loop(len(body), lambda: _checked(model, read_json(body, limits), "body"))


def read_query(request: web.Request, model: type[M]) -> M:
    return _checked(model, dict(request.query), "query")


def _checked(model: type[M], value: Any, place: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong = [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors(include_url=False)]
        first = f"{wrong[0]['field']}: {wrong[0]['message']}" if wrong[0]["field"] else wrong[0]["message"]
        hint = "/api/v1/docs describes what each route takes."
        raise BadRequest(f"The {place} is not what this route takes: {first}", hint=hint, details={"fields": wrong}) from error
