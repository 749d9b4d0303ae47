"""The public functions by name. Written by scripts/generate_functions.py."""

FUNCTIONS = """
    abs add add_at arange argmax astype broadcast_to columns concatenate conv cos divide elu
    equal erf exp expm1 gelu greater greater_equal leaky_relu less less_equal log log1p
    log_softmax matmul max max_pool maximum mean mean_pool minimum multiply negative not_equal
    pad permute pick power put_at relu reshape select sigmoid sign silu sin softmax softplus
    sqrt subtract sum take tanh uncolumns where
""".split()
