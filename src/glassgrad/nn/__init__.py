"""Layers, losses and initialisers."""

from glassgrad.tensors.functions import elu as elu
from glassgrad.tensors.functions import gelu as gelu
from glassgrad.tensors.functions import leaky_relu as leaky_relu
from glassgrad.tensors.functions import log_softmax as log_softmax
from glassgrad.tensors.functions import relu as relu
from glassgrad.tensors.functions import sigmoid as sigmoid
from glassgrad.tensors.functions import silu as silu
from glassgrad.tensors.functions import softmax as softmax
from glassgrad.tensors.functions import softplus as softplus
from glassgrad.tensors.functions import tanh as tanh
from glassgrad.tensors.tensor import Buffer as Buffer
from glassgrad.tensors.tensor import Parameter as Parameter

from . import init as init
from . import losses as losses
from .layers import (
    ELU as ELU,
)
from .layers import (
    GELU as GELU,
)
from .layers import (
    RNN as RNN,
)
from .layers import (
    AvgPool2d as AvgPool2d,
)
from .layers import (
    BatchNorm1d as BatchNorm1d,
)
from .layers import (
    BatchNorm2d as BatchNorm2d,
)
from .layers import (
    Conv1d as Conv1d,
)
from .layers import (
    Conv2d as Conv2d,
)
from .layers import (
    Dropout as Dropout,
)
from .layers import (
    Embedding as Embedding,
)
from .layers import (
    Flatten as Flatten,
)
from .layers import (
    LayerNorm as LayerNorm,
)
from .layers import (
    LeakyReLU as LeakyReLU,
)
from .layers import (
    Linear as Linear,
)
from .layers import (
    LogSoftmax as LogSoftmax,
)
from .layers import (
    MaxPool2d as MaxPool2d,
)
from .layers import (
    ReLU as ReLU,
)
from .layers import (
    Sigmoid as Sigmoid,
)
from .layers import (
    SiLU as SiLU,
)
from .layers import (
    Softmax as Softmax,
)
from .layers import (
    Softplus as Softplus,
)
from .layers import (
    Tanh as Tanh,
)
from .module import Module as Module
from .module import Sequential as Sequential


def __getattr__(name: str) -> object:
    from glassgrad.errors import did_you_mean

    hint = did_you_mean(name, [n for n in globals() if not n.startswith("_")])
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}{'; ' + hint if hint else ''}"
    )
