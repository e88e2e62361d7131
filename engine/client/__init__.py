"""A typed client of a running Easel server."""

from engine.client.client import Client, JobView, RequestFailed

__all__ = ["Client", "JobView", "RequestFailed"]
