"""Easel's own API."""

from engine.server.v1 import (
    datasets,
    drafts,
    events,
    files,
    imports,
    jobs,
    model_files,
    nodes,
    queue,
    system,
    thumbnails,
    tokens,
    workflows,
)

TABLES = tuple(
    module.table
    for module in (jobs, queue, events, workflows, drafts, imports, files, thumbnails, model_files, datasets, nodes, tokens, system)
)
"""Routes, in the order in which the docs show them."""
