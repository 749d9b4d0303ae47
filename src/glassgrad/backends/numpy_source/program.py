"""A whole run as one file: the step, the loop over the data, and what it leaves behind."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .build import assemble, function_text
from .check import check_program
from .emit import Function
from .layout import comment, wrapped
from .names import Names

PATHS = "from pathlib import Path"


@dataclass(frozen=True, slots=True)
class IdxFiles:
    """Data too large to copy: IDX files in a folder, known by their hashes."""

    folder: str
    files: tuple[tuple[str, str], ...]  # (name, sha256): images, then labels
    shape: tuple[int, ...]  # of one row


@dataclass(slots=True)
class Recipe:
    """What a run does besides the step."""

    about: list[tuple[str, str]]  # lines of the docstring: (what, text)
    parts: Sequence[tuple[str, tuple[int, ...], int, int]]  # name, shape, start, stop
    moments: Sequence[str]
    held: Sequence[str]  # buffers and frozen parameters
    metrics: Sequence[tuple[str, int]]  # name, count per row
    epochs: int
    batch_size: int | None
    shuffle: bool
    seed: int
    rate: float
    data: IdxFiles | None = None
    chunk: int = 1024
    steps: list[str] = field(default_factory=list)


def docstring(about: Sequence[tuple[str, str]]) -> str:
    """Aligned lines of what the program is."""
    width = max((len(what) for what, _ in about[1:]), default=0)
    lines = [comment(about[0][1])] if about else []
    lines += [f"{comment(what):<{width}}  {comment(text)}" for what, text in about[1:]]
    return "\n".join([lines[0], "", *lines[1:], ""]) if len(lines) > 1 else lines[0]


def step_program(step: Function, about: Sequence[tuple[str, str]]) -> str:
    """The step alone, with the helpers it uses."""
    text = assemble([function_text(step)], docstring(about))
    check_program(ast.parse(text))
    return text


def whole_program(step: Function, evaluate: Function | None, recipe: Recipe) -> str:
    """The run as a file that needs only NumPy and what lies beside it."""
    texts = [function_text(step)]
    if evaluate is not None:
        texts.append(function_text(evaluate))
    texts.append(_main(step, evaluate, recipe))
    text = assemble(texts, docstring(recipe.about))
    text = text.replace("import numpy as np\n", f"{PATHS}\n\nimport numpy as np\n", 1)
    text = text.replace("\n\nfrom pathlib", "\nfrom pathlib").rstrip("\n")
    text += '\n\n\nif __name__ == "__main__":\n    main()\n'
    check_program(ast.parse(text), whole=True)
    return text


def _text(value: Any) -> str:
    return repr(value)


def _main(step: Function, evaluate: Function | None, recipe: Recipe) -> str:
    """`main()`: read, shuffle, train, print, write."""
    lines: list[str] = []

    def put(text: str, depth: int = 1) -> None:
        lines.extend(wrapped("    " * depth, text))

    names = Names([*step.identifiers.values(), "here", "start", "data", "x", "y", "history"])
    batch = recipe.batch_size
    metrics = [(name, names.take(f"{name}_sum"), count) for name, count in recipe.metrics]
    held = {n: step.identifiers.get(n, "") for n in recipe.held}
    if evaluate is not None:
        held.update({n: i for n, i in evaluate.identifiers.items() if n in recipe.held})

    put("here = Path(__file__).parent")
    put("start = np.load(here / 'initial.npz')")
    if recipe.data is None:
        put("data = np.load(here / 'data.npz')")
        put("x, y = data['x'], data['y']")
        if evaluate is not None:
            put("x_val, y_val = data['x_val'], data['y_val']")
    else:
        lines += _read_files(recipe.data, evaluate is not None)
    put("# the parameters, each with its place in the vector of weights")
    put("parts = (")
    for name, shape, begin, end in recipe.parts:
        put(f"({_text(name)}, {_text(shape)}, {begin}, {end}),", 2)
    put(")")
    put("weights = np.concatenate([start[name].ravel() for name, _, _, _ in parts])")
    for name in recipe.moments:
        put(f"{step.identifiers[name]} = np.zeros_like(weights)")
    for name, identifier in held.items():
        put(f"{identifier or names.take(name)} = start[{_text(name)}]")
    put("history = []")
    columns = ["loss", *[name for name, _, _ in metrics]]
    uses_step = "step" in step.identifiers
    if uses_step:
        put("step = 0")
    put(f"for epoch in range(1, {recipe.epochs + 1}):")
    gather = recipe.shuffle and batch is not None
    if gather:
        put(f"order = random_words(len(x), {recipe.seed}, 'shuffle', epoch).argsort(kind='stable')", 2)
    put(" = ".join(["loss_sum", *[s for _, s, _ in metrics], "0.0"]), 2)
    depth = 2
    if batch is not None:
        put(f"for first in range(0, len(x), {batch}):", 2)
        depth = 3
        if gather:
            put(f"rows = order[first:first + {batch}]", 3)
        else:
            put(f"rows = slice(first, first + {batch})", 3)
    if uses_step:
        put("step += 1", depth)
    arguments = _arguments(step, recipe, "x[rows]" if batch else "x", "y[rows]" if batch else "y")
    put(f"found = train_step({arguments})", depth)
    put("if found is None:", depth)
    put("raise SystemExit('inf or nan in epoch ' + str(epoch) + ': nothing was updated')", depth + 1)
    row_count = "len(x[rows])" if batch else "len(x)"
    if metrics:
        results = [f"batch_{name}" for name in ("loss", *[s for _, s, _ in metrics])]
        put(f"{', '.join(results)} = found", depth)
        put(f"loss_sum += float(batch_loss) * {row_count}", depth)
        for result, (_, total, _) in zip(results[1:], metrics, strict=True):
            put(f"{total} += float({result})", depth)
    else:
        put(f"loss_sum += float(found) * {row_count}", depth)
    row = ["loss_sum / len(x)"] + [
        f"{total} / " + (f"({count} * len(x))" if count != 1 else "len(x)")
        for _, total, count in metrics
    ]
    put(f"row = [{', '.join(row)}]", 2)
    if evaluate is not None:
        lines += _evaluation(evaluate, recipe)
        columns += [f"val_{name}" for name in columns]
    put("history.append(row)", 2)
    shown = [f"{name} {{:.6f}}" for name in columns]
    put(f"print(('epoch {{:>4}}   {'   '.join(shown)}').format(epoch, *row))", 2)
    header = ",".join(["epoch", *columns])
    put("with open(here / 'replayed.csv', 'w', encoding='utf-8') as file:")
    put(f"file.write({header + chr(10)!r})", 2)
    put("for epoch, row in enumerate(history, 1):", 2)
    put("file.write(','.join([str(epoch), *[repr(value) for value in row]]) + '\\n')", 3)
    put("final = {name: weights[a:b].reshape(shape) for name, shape, a, b in parts}")
    for name, identifier in held.items():
        if identifier:
            put(f"final[{_text(name)}] = {identifier}")
    put("np.savez(here / 'replayed.npz', **final)")
    return "\n".join(["def main():", *lines]) + "\n"


def _arguments(function: Function, recipe: Recipe, x: str, y: str) -> str:
    given = {"x": x, "y": y, "rate": repr(recipe.rate), "seed": str(recipe.seed)}
    return ", ".join(given.get(n, i) for n, i in function.identifiers.items())


def _evaluation(evaluate: Function, recipe: Recipe) -> list[str]:
    """Validation after the epoch, in fixed chunks."""
    chunk = recipe.chunk
    names = ["loss", *[name for name, _ in recipe.metrics]]
    lines = [f"        {' = '.join([f'val_{i}' for i in range(len(names))])} = 0.0"]
    lines.append(f"        for first in range(0, len(x_val), {chunk}):")
    lines.append(f"            rows = slice(first, first + {chunk})")
    call = f"evaluate({_arguments(evaluate, recipe, 'x_val[rows]', 'y_val[rows]')})"
    lines += wrapped("            ", f"found = {call}")
    results = [f"val_{i}" for i in range(len(names))]
    if len(names) == 1:
        lines.append("            val_0 += float(found) * len(x_val[rows])")
    else:
        lines.append("            val_0 += float(found[0]) * len(x_val[rows])")
        for i, result in enumerate(results[1:], 1):
            lines.append(f"            {result} += float(found[{i}])")
    counts = [1, *[count for _, count in recipe.metrics]]
    row = [
        f"{r} / " + (f"({c} * len(x_val))" if c != 1 else "len(x_val)")
        for r, c in zip(results, counts, strict=True)
    ]
    lines += wrapped("        ", f"row += [{', '.join(row)}]")
    return lines


def _read_files(files: IdxFiles, validation: bool) -> list[str]:
    """Images and labels from the data folder, if they are the very same files."""
    lines = [f"    folder = Path(sys.argv[1] if len(sys.argv) > 1 else {files.folder!r})"]
    variables = ["images", "labels", "images_val", "labels_val"]
    for (name, digest), variable in zip(files.files, variables, strict=False):
        lines.append(f"    {variable} = read_idx(folder / {name!r},")
        lines.append(f"        {digest!r})")
    pairs = [("", "")] + ([("_val", "_val")] if validation else [])
    for tail, _ in pairs:
        shape = ", ".join(map(str, files.shape))
        lines.append(f"    x{tail} = np.divide(images{tail}, 255, dtype=np.float32).reshape(-1, {shape})")
        lines.append(f"    y{tail} = labels{tail}.astype(np.int64)")
    return lines


