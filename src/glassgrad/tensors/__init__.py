"""Tensors: eager work, derivatives, loops, random numbers."""
