"""Data sets, and the few steps between them and training. Needs only NumPy.

`load(name)` gives a whole `Dataset`; the functions behind it give plain arrays. Drawn sets depend
on their seed alone: the same rows on every machine and with every version of NumPy.
"""

from glassgrad.data.augment import Augment, mixup
from glassgrad.data.batches import Batches
from glassgrad.data.cifar import read_cifar10
from glassgrad.data.fetch import download
from glassgrad.data.idx import read_idx
from glassgrad.data.preparation import TablePreparation, Target
from glassgrad.data.prepare import min_max, one_hot, standardise
from glassgrad.data.sets import NAMES, Dataset, cifar10, digits, fashion_mnist, load, mnist
from glassgrad.data.splits import folds, split
from glassgrad.data.table import Table, read_csv
from glassgrad.data.target import Question, answers_in, learnt_target, question
from glassgrad.data.text import Text, decode, encode, read_text
from glassgrad.data.toys import (
    GATES,
    circles,
    gate,
    moons,
    noisy_line,
    people,
    people_row,
    spiral,
)

__all__ = [
    "GATES",
    "NAMES",
    "Augment",
    "Batches",
    "Dataset",
    "Question",
    "Table",
    "TablePreparation",
    "Target",
    "Text",
    "answers_in",
    "cifar10",
    "circles",
    "decode",
    "digits",
    "download",
    "encode",
    "fashion_mnist",
    "folds",
    "gate",
    "learnt_target",
    "load",
    "min_max",
    "mixup",
    "mnist",
    "moons",
    "noisy_line",
    "one_hot",
    "people",
    "people_row",
    "question",
    "read_cifar10",
    "read_csv",
    "read_idx",
    "read_text",
    "spiral",
    "split",
    "standardise",
]
