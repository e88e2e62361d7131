"""Replays of reference figures: `python -m tests.reference DIR` compares this engine with a folder of recorded results."""
