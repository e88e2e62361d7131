"""Arithmetic of pictures, masks and latents as grids: resizing, blending, filters. Pure functions; nothing writes to its arguments."""
