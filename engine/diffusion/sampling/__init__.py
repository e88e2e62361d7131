"""Sampling: noise levels, predictions, schedules, samplers, noise and guidance, as plain functions that know nothing of nodes."""
