"""Names as an enemy would choose them: code, markup, formulas, escapes, and what Python may confuse."""

from __future__ import annotations

import builtins
import keyword
import random

import numpy as np

from glassgrad import nn
from glassgrad.backends.numpy_source.build import helper_sources

SIX = (
    "<img src=x onerror=alert(1)>", "[red]", "\x1b[31mred", "\\input{x}", "=1+1", "a \"b\" 'c'\nd",
)  # fmt: skip
MARKUP = (
    *SIX, "</svg><script>alert(1)</script>", "]]>", "<!--", "--><b>", "&lt;b&gt;", "&#60;", "javascript:alert(1)", "[/]", "[link=x]y[/link]",
    "@SUM(A1)", "+1+1", "-1+1", "\uff1d1+1", "\t=1", "\r=1", ";=1", ",=1", "\x9b31m", "\x07", "\x08\x08", "\x1b]0;x\x07", "$x$", "`ls`", "$(ls)", "%0a",
    "*b*", "_i_", "![x](y)", "\u2028", "\u2066x", "\ufeff", "\ufffe", "a\x85b", "{{x}}", "{% x %}", "-rf", "--help", "~", "*", "?", "|", "NUL", "a" * 300,
)  # fmt: skip
WORDS = [
    *keyword.kwlist, *keyword.softkwlist, *dir(builtins), *helper_sources(),
    *(n for n in dir(np) if not n.startswith("__")), *dir(nn.Module), *dir(object), *dir(dict),
    *"n t i j x y np math os sys hashlib gzip Path self weights weight bias rate step seed mean".split(),
    *"square velocity gradient loss found order rows start data history here file final main".split(),
    *"parts titles train_step evaluate allow_pickle x_val y_val d_x d_loss keep shifted log_probs".split(),
    *"training path running_mean name shape a b first epoch row value folder images labels n2".split(),
    "__import__", "__import__('os').system('x')", "exec", "eval('1')", "os.system", "sliding_window_view",
    "'''", '"""', "'", '"', "\\", "\n", "\r", "\0", "\t", "#", "{}", "{0.__class__}", "%s", "${x}",
    "a\n    import os", "a # b", "a; import os", "a): pass", "a\"\"\"\nimport os\n\"\"\"", "''' + exec('1') + '''",
    "import numpy as np", "import numpy as np\n", "def main():", "from pathlib import Path", "", " ", "_", "__",
    "é", "ﬁ", "变量", "数据", "ℌ", "𝐱", "\u202e", "\u200b", "\ud800", "\U0001f600", "١", "a١", "ªº",
    "a" * 64, "a" * 65, "a" * 5000, "_" * 60, "1" * 40, "a.b", "a.b.weight", "../x", "/etc/passwd",
    "CON", "nul", *MARKUP, "a b", "a-b", "A_B", "a__b", "a_b_", "_a_b", "a_b2", "a_b_2", "conv1_patches", "h1",
]  # fmt: skip
PIECES = [
    *"abcxyz_019", "_", " ", "\n", "'", '"', "\\", "#", "(", ")", "{", "}", ":", ";", ".", ",", "=",
    "é", "变", "\u202e", "\0", "import ", "os", "exec", "__", "lambda", "%", "np", "n", "t", "d_",
]  # fmt: skip


def hostile_names(count: int, seed: int = 0) -> list[str]:
    """So many names, each different: the words, words put together, and noise."""
    r = random.Random(seed)
    found = dict.fromkeys(WORDS if not seed else ())
    while len(found) < count:
        kind = r.randrange(4)
        if kind == 0:
            found[
                f"{r.choice(WORDS)}{r.choice(['', '_', '.', ' ', '2', chr(10)])}{r.choice(WORDS)}"
            ] = None
        elif kind == 1:
            found["".join(r.choice(PIECES) for _ in range(r.randrange(1, 12)))] = None
        elif kind == 2:
            word = r.choice(WORDS)
            found[r.choice([word.upper(), word.title(), f"_{word}", f"{word}_", f"{word}1"])] = None
        else:
            found["".join(chr(r.randrange(1, 0x3000)) for _ in range(r.randrange(1, 6)))] = None
    return list(found)[:count]
