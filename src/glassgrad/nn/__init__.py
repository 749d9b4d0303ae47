"""Layers, losses and initialisers."""

from glassgrad.tensors.functions import (
    elu as elu,
    gelu as gelu,
    leaky_relu as leaky_relu,
    log_softmax as log_softmax,
    relu as relu,
    sigmoid as sigmoid,
    silu as silu,
    softmax as softmax,
    softplus as softplus,
    tanh as tanh,
)
from glassgrad.tensors.tensor import Buffer as Buffer, Parameter as Parameter

from . import init as init, losses as losses
from .activations import (
    ELU as ELU,
    GELU as GELU,
    LeakyReLU as LeakyReLU,
    LogSoftmax as LogSoftmax,
    ReLU as ReLU,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    Softmax as Softmax,
    Softplus as Softplus,
    Tanh as Tanh,
)
from .images import (
    AvgPool2d as AvgPool2d,
    Conv1d as Conv1d,
    Conv2d as Conv2d,
    MaxPool2d as MaxPool2d,
)
from .layers import Dropout as Dropout, Embedding as Embedding, Flatten as Flatten, Linear as Linear
from .module import Module as Module, Sequential as Sequential
from .norms import BatchNorm1d as BatchNorm1d, BatchNorm2d as BatchNorm2d, LayerNorm as LayerNorm
from .penalties import (
    L1 as L1,
    L1L2 as L1L2,
    L2 as L2,
    MaxNorm as MaxNorm,
    NonNeg as NonNeg,
    UnitNorm as UnitNorm,
    constrain as constrain,
    penalty as penalty,
    regularize as regularize,
)
from .recurrent import RNN as RNN


def __getattr__(name: str) -> object:
    from glassgrad.errors import did_you_mean

    hint = did_you_mean(name, [n for n in globals() if not n.startswith("_")])
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}{'; ' + hint if hint else ''}"
    )
