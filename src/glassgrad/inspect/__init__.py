"""Looking at networks: programs to read, and pictures."""

from .compare import Comparison as Comparison, compare as compare
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
