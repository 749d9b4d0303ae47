"""Looking at networks: programs to read, and pictures."""

from .compare import Comparison as Comparison, compare as compare
from .plots import curves as curves, decision_boundary as decision_boundary, overlaid as overlaid
from .source import source as source
from .tape import Moment as Moment, Tape as Tape
