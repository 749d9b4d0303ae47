"""Looking at networks: programs to read, numbers derived, faults found, pictures."""

from .compare import Comparison as Comparison, compare as compare
from .diagnose.diagnosis import Diagnosis as Diagnosis
from .diagnose.faults import Finding as Finding
from .diagnose.watching import Watching as Watching
from .explain.attribution import Attribution as Attribution
from .explain.cards import Card as Card
from .explain.explanation import Explanation as Explanation
from .explain.paths import Way as Way, Ways as Ways
from .explain.samples import Samples as Samples
from .explain.uses import Use as Use, Uses as Uses
from .plots import (
    confusion_matrix as confusion_matrix,
    curves as curves,
    decision_boundary as decision_boundary,
    feature_maps as feature_maps,
    filters as filters,
    graph as graph,
    histograms as histograms,
    images as images,
    network as network,
    neuron as neuron,
    overlaid as overlaid,
    scatter as scatter,
)
from .source import source as source
from .svg import Picture as Picture
from .tape import Moment as Moment, Tape as Tape
