"""Pictures as SVG text, one module for each kind.

No plotting library: the text is short enough to read, opens in any browser, follows its light or
dark scheme, and contains no script, no link and nothing outside itself (`svg.py`).
"""

from .confusion import confusion_matrix as confusion_matrix
from .curves import curves as curves, overlaid as overlaid
from .flow import graph as graph
from .histograms import histograms as histograms
from .images import feature_maps as feature_maps, filters as filters, images as images
from .network import network as network, neuron as neuron
from .points import decision_boundary as decision_boundary, scatter as scatter
