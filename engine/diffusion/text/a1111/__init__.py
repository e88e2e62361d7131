"""AUTOMATIC1111's prompt language: what its web UI makes of a prompt, step by step, until the text encoder reads it.

In order: `variants` ({a|b}, __wildcards__), `networks` (<lora:...>), `composition` (AND), `editing` ([a:b:0.5], [a|b]), `emphasis`
((a:1.2), [a], BREAK), `chunks` (75 tokens each), `encode`. `prompt` puts them together.
"""
