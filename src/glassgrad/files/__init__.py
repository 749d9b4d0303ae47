"""Files are data: `.glass` models, written whole or not at all, read as if they were hostile."""

from .fitted import Fitted as Fitted
from .labels import Labels as Labels, Preparation as Preparation
from .loaded import GraphModule as GraphModule
from .model import load as load, save as save
