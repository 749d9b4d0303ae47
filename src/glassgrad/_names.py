"""The public functions by name. Written by scripts/generate_functions.py."""

FUNCTIONS = """
    abs add add_along_axis add_at all any arange arccos arcsin argmax argmin argsort astype
    broadcast_to ceil clip columns concatenate conv cos cosh cumsum divide elu equal erf exp
    expm1 flip floor gelu greater greater_equal leaky_relu less less_equal log log10 log1p log2
    log_softmax logical_and logical_not logical_or logical_xor logsumexp matmul max max_pool
    maximum mean mean_pool min minimum multiply negative not_equal one_hot pad permute pick
    power prod put_at relu remainder reshape roll round select sigmoid sign silu sin sinh
    softmax softplus sort sqrt std subtract sum take take_along_axis tan tanh tril triu trunc
    uncolumns var where
""".split()
