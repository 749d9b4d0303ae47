"""The public functions by name. Written by scripts/generate_functions.py."""

FUNCTIONS = """
    abs add add_along_axis add_at all any arange arccos arcsin argmax argmin argsort astype
    broadcast_to ceil celu clip columns concatenate conv conv_transpose cos cosh cumsum divide
    elu equal erf exp expm1 flip floor gelu gelu_tanh glu greater greater_equal hardshrink
    hardsigmoid hardswish hardtanh leaky_relu less less_equal log log10 log1p log2 log_sigmoid
    log_softmax logical_and logical_not logical_or logical_xor logsumexp matmul max max_pool
    maximum mean mean_pool min minimum mish multiply negative not_equal one_hot pad permute pick
    power prelu prod put_at relu relu6 remainder reshape roll round select selu sigmoid sign
    silu sin sinh softmax softmin softplus softshrink softsign sort sqrt std subtract sum take
    take_along_axis tan tanh tanhshrink threshold tril triu trunc uncolumns var where
""".split()
