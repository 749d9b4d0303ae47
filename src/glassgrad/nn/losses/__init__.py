"""Losses: functions of (prediction, target) that give one number, the mean over the batch.

They refuse shapes that would stretch to fit each other. `reduction` is "mean", "sum" or "none"
(no reduction: one number for each term). Definitions are PyTorch's, where it has the loss; each
docstring says where one differs.
"""

from __future__ import annotations

from .classification import (
    binary_cross_entropy as binary_cross_entropy,
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    categorical_focal as categorical_focal,
    cross_entropy as cross_entropy,
    focal as focal,
    hinge as hinge,
    hinge_embedding as hinge_embedding,
    kl_div as kl_div,
    multi_margin as multi_margin,
    multilabel_soft_margin as multilabel_soft_margin,
    nll as nll,
    soft_margin as soft_margin,
    squared_hinge as squared_hinge,
)
from .distance import (
    contrastive as contrastive,
    cosine_embedding as cosine_embedding,
    margin_ranking as margin_ranking,
    triplet_margin as triplet_margin,
)
from .operands import check_classes as check_classes, check_signs as check_signs
from .records import (
    CLASSES as CLASSES,
    NAMED as NAMED,
    RECORDS as RECORDS,
    Loss as Loss,
    LossRecord as LossRecord,
    described as described,
    find as find,
    heading as heading,
    known as known,
    label as label,
    over as over,
    settings_of as settings_of,
)
from .regression import (
    cosine_similarity as cosine_similarity,
    gaussian_nll as gaussian_nll,
    huber as huber,
    log_cosh as log_cosh,
    mae as mae,
    mse as mse,
    poisson_nll as poisson_nll,
    smooth_l1 as smooth_l1,
)
