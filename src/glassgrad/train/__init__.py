"""Training: fit, evaluate, predict, and what listens to them."""

from .callbacks import Callback as Callback
from .callbacks import ProgressLines as ProgressLines
from .callbacks import Run as Run
from .fit import evaluate as evaluate
from .fit import fit as fit
from .fit import predict as predict
from .history import History as History
