"""Random networks over all modules and losses, each with the same network in PyTorch.

    network = random_network(7)
    loss = network.run(gg.tensor)
    twin = network.torch_loss(torch, network.torch_leaves(torch))

A network is a function of its seed alone. `spec` says what it is made of: data, from which both
models are built (`specs`). `layers` draws lines of layers, `draw` networks of several inputs and
outputs, `goals` what they are to learn; `twin` is PyTorch.
"""

from .draw import FAMILIES as FAMILIES, Drawn as Drawn, drawn as drawn
from .goals import LOSSES as LOSSES
from .network import Network as Network, random_network as random_network
from .specs import MODULES as MODULES
