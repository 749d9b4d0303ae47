"""Training: fit, evaluate, predict, and what listens to them."""

from .callbacks import (
    Callback as Callback,
    LambdaCallback as LambdaCallback,
    ProgressLines as ProgressLines,
    Run as Run,
)
from .fit import evaluate as evaluate, fit as fit, predict as predict
from .history import History as History
from .loggers import CSVLogger as CSVLogger, JSONLogger as JSONLogger
from .monitors import (
    EarlyStopping as EarlyStopping,
    LearningRateScheduler as LearningRateScheduler,
    ModelCheckpoint as ModelCheckpoint,
    ReduceLROnPlateau as ReduceLROnPlateau,
)
from .sampling import sample as sample
from .trouble import Trouble as Trouble
