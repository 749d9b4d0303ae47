"""Data sets, and the few steps between them and training. Needs only NumPy.

`load(name)` gives a whole `Dataset`; the functions behind it give plain arrays. Drawn sets depend
on their seed alone: the same rows on every machine and with every version of NumPy.
"""

from glassgrad.data.idx import read_idx
from glassgrad.data.prepare import split, standardise
from glassgrad.data.sets import NAMES, Dataset, digits, fashion_mnist, load, mnist
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
    "Dataset",
    "Text",
    "circles",
    "decode",
    "digits",
    "encode",
    "fashion_mnist",
    "gate",
    "load",
    "mnist",
    "moons",
    "noisy_line",
    "people",
    "people_row",
    "read_idx",
    "read_text",
    "spiral",
    "split",
    "standardise",
]
