"""`easel serve`: the server."""

from __future__ import annotations

from engine.cli.options import with_settings
from engine.settings import Settings


@with_settings(*Settings.model_fields)
def serve(settings: Settings) -> None:
    """Start the server and print its address. Ctrl+C ends it."""
    from engine.server.app import serve as serve_until_stopped

    serve_until_stopped(settings)
