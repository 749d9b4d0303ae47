"""The classes of losses with settings, by name. Each is made of its record; see `records.Loss`."""

from __future__ import annotations

from .records import CLASSES

MSELoss = CLASSES["MSELoss"]
L1Loss = CLASSES["L1Loss"]
HuberLoss = CLASSES["HuberLoss"]
SmoothL1Loss = CLASSES["SmoothL1Loss"]
LogCoshLoss = CLASSES["LogCoshLoss"]
PoissonNLLLoss = CLASSES["PoissonNLLLoss"]
GaussianNLLLoss = CLASSES["GaussianNLLLoss"]
CosineSimilarityLoss = CLASSES["CosineSimilarityLoss"]
BCELoss = CLASSES["BCELoss"]
BCEWithLogitsLoss = CLASSES["BCEWithLogitsLoss"]
CrossEntropyLoss = CLASSES["CrossEntropyLoss"]
NLLLoss = CLASSES["NLLLoss"]
KLDivLoss = CLASSES["KLDivLoss"]
FocalLoss = CLASSES["FocalLoss"]
CategoricalFocalLoss = CLASSES["CategoricalFocalLoss"]
HingeLoss = CLASSES["HingeLoss"]
SquaredHingeLoss = CLASSES["SquaredHingeLoss"]
SoftMarginLoss = CLASSES["SoftMarginLoss"]
HingeEmbeddingLoss = CLASSES["HingeEmbeddingLoss"]
MultiMarginLoss = CLASSES["MultiMarginLoss"]
MultiLabelSoftMarginLoss = CLASSES["MultiLabelSoftMarginLoss"]
MarginRankingLoss = CLASSES["MarginRankingLoss"]
CosineEmbeddingLoss = CLASSES["CosineEmbeddingLoss"]
TripletMarginLoss = CLASSES["TripletMarginLoss"]
ContrastiveLoss = CLASSES["ContrastiveLoss"]
