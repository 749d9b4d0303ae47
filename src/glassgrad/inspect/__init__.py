"""Looking at networks: programs to read, and pictures."""

from .plots import curves as curves, decision_boundary as decision_boundary
from .source import source as source
