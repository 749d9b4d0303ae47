"""Training: fit, evaluate, predict, and what listens to them."""

from .callbacks import Callback as Callback, ProgressLines as ProgressLines, Run as Run
from .fit import evaluate as evaluate, fit as fit, predict as predict
from .history import History as History
