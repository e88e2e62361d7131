"""Easel: a node-graph engine for diffusion images, drawing and training in one graph."""

__version__ = "0.1.0"
