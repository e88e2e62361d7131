"""What the server is and what it can: `/system_stats`, `/features`, `/extensions` and the routes that a stock editor asks at its start."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
from aiohttp import web

from engine.server.responses import json_response
from engine.server.state import server_of
from engine.settings import Settings

routes = web.RouteTableDef()

COMFYUI_VERSION = "0.3.64"
"""Of the protocol that these routes follow."""


def features(settings: Settings) -> dict[str, Any]:
    return {"supports_preview_metadata": True, "max_upload_size": int(settings.max_body)}


@routes.get("/system_stats")
async def system_stats(request: web.Request) -> web.Response:
    supervisor = server_of(request).supervisor
    memory = psutil.virtual_memory()
    device = supervisor.stats.get("device") or supervisor.hello.get("device")
    return json_response(
        {
            "system": {
                "os": os.name,
                "ram_total": memory.total,
                "ram_free": memory.available,
                "comfyui_version": COMFYUI_VERSION,
                "easel_version": package_version("easel"),
                "required_frontend_version": None,
                "installed_templates_version": None,
                "required_templates_version": None,
                "python_version": f"{sys.version.split()[0]} ({platform.python_implementation()})",
                "pytorch_version": package_version("torch"),
                "embedded_python": False,
                "argv": [],
            },
            "devices": [device] if device else [],
        }
    )


@routes.get("/features")
async def feature_flags(request: web.Request) -> web.Response:
    return json_response(features(server_of(request).settings))


@routes.get("/extensions")
async def extensions(request: web.Request) -> web.Response:
    return json_response([])


@routes.get("/i18n")
async def translations(request: web.Request) -> web.Response:
    return json_response({})


@routes.get("/workflow_templates")
async def workflow_templates(request: web.Request) -> web.Response:
    return json_response({})


def package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
