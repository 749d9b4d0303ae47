"""Optimisers."""

from .optimizers import SGD as SGD, Adam as Adam, AdamW as AdamW, Optimizer as Optimizer
