"""Guidance methods beyond plain CFG: small objects hung on a model's guidance options, and guiders of more than two prompts.

Attach one with `options.adding(before=..., combine=..., after=...)`; each class says which.
"""
