"""Adapters (LoRA and its relatives): reading their files and merging them into a network's weights."""
