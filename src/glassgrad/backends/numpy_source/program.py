"""A whole run as one file: the step, the loop over the data, and what it leaves behind."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from .build import assemble, function_text, helper_sources
from .check import check_program
from .emit import Function
from .layout import comment, wrapped
from .names import Names

# The run was done so; the same products on more threads may end in other last digits.
ONE_THREAD = """\
# Products this small are quickest on one thread; NumPy must know before it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

"""

# What `main` calls its own variables; buffers and metrics are named around them.
_OWN = """a b data epoch evaluate file final first folder found here history
    images images_val labels labels_val loss_sum main name order parts row rows shape start step
    titles train_step value weights x x_val y y_val""".split()


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
    one_thread: bool = False


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
    first = ONE_THREAD if recipe.one_thread else ""
    text = assemble(texts, docstring(recipe.about), whole=True, first=first).rstrip("\n")
    text += '\n\n\nif __name__ == "__main__":\n    main()\n'
    check_program(ast.parse(text), whole=True)
    return text


def _main(step: Function, evaluate: Function | None, recipe: Recipe) -> str:
    """`main()`: read, shuffle, train, print, write."""
    lines: list[str] = []

    def put(text: str, depth: int = 1) -> None:
        lines.extend(wrapped("    " * depth, text))

    names = Names([*_OWN, *helper_sources()])
    batch = recipe.batch_size
    given = {"weights": "weights", "step": "step"}
    given |= {"rate": repr(recipe.rate), "seed": str(recipe.seed)}
    given |= {name: names.take(name) for name in (*recipe.moments, *recipe.held)}
    columns = ["loss", *[name for name, _ in recipe.metrics]]
    counts = [1, *[count for _, count in recipe.metrics]]
    sums = ["loss_sum", *[names.take(f"{name}_sum") for name in columns[1:]]]
    results = [names.take(f"batch_{name}") for name in columns]

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
    for name, shape, begin, stop in recipe.parts:
        put(f"({name!r}, {shape!r}, {begin}, {stop}),", 2)
    put(")")
    put("weights = np.concatenate([start[name].ravel() for name, _, _, _ in parts])")
    for name in recipe.moments:
        put(f"{given[name]} = np.zeros_like(weights)")
    for name in recipe.held:
        put(f"{given[name]} = start[{name!r}]")
    put("history = []")
    shown = [*columns, *([f"val_{name}" for name in columns] if evaluate is not None else [])]
    put(f"titles = {shown!r}")
    uses_step = "step" in step.identifiers
    if uses_step:
        put("step = 0")
    put(f"for epoch in range(1, {recipe.epochs + 1}):")
    if recipe.shuffle and batch is not None:
        put(
            f"order = random_words(len(x), {recipe.seed}, 'shuffle', epoch).argsort(kind='stable')",
            2,
        )
    put(" = ".join([*sums, "0.0"]), 2)
    depth = 2
    if batch is not None:
        put(f"for first in range(0, len(x), {batch}):", 2)
        end = f"first + {batch}"
        put(f"rows = {f'order[first:{end}]' if recipe.shuffle else f'slice(first, {end})'}", 3)
        depth = 3
    if uses_step:
        put("step += 1", depth)
    x, y = ("x[rows]", "y[rows]") if batch else ("x", "y")
    put(f"found = train_step({_arguments(step, given, x, y)})", depth)
    put("if found is None:", depth)
    put("raise SystemExit(f'inf or nan in epoch {epoch}: nothing was updated')", depth + 1)
    if len(results) > 1:
        put(f"{', '.join(results)} = found", depth)
    else:
        results = ["found"]
    for text in _adding(sums, results, f"len({x})"):
        put(text, depth)
    put(f"row = [{', '.join(_means(sums, counts, 'x'))}]", 2)
    if evaluate is not None:
        sums = [names.take(f"val_{name}") for name in sums]
        put(" = ".join([*sums, "0.0"]), 2)
        put(f"for first in range(0, len(x_val), {recipe.chunk}):", 2)
        put(f"rows = slice(first, first + {recipe.chunk})", 3)
        arguments = _arguments(evaluate, given, "x_val[rows]", "y_val[rows]")
        put(f"{', '.join(results)} = evaluate({arguments})", 3)
        for text in _adding(sums, results, "len(x_val[rows])"):
            put(text, 3)
        put(f"row += [{', '.join(_means(sums, counts, 'x_val'))}]", 2)
    put("history.append(row)", 2)
    put("row = [f'{name} {value:.6f}' for name, value in zip(titles, row)]", 2)
    put("print(f'epoch {epoch:>4}', *row, sep='   ')", 2)
    put(r"with open(here / 'replayed.csv', 'w', encoding='utf-8', newline='\n') as file:")
    put(r"file.write(','.join(['epoch', *titles]) + '\n')", 2)
    put("for epoch, row in enumerate(history, 1):", 2)
    put(r"file.write(','.join([str(epoch), *[repr(value) for value in row]]) + '\n')", 3)
    put("final = {name: weights[a:b].reshape(shape) for name, shape, a, b in parts}")
    for name in recipe.held:
        put(f"final[{name!r}] = {given[name]}")
    put("np.savez(here / 'replayed.npz', **final)")
    return "\n".join(["def main():", *lines]) + "\n"


def _arguments(function: Function, given: dict[str, str], x: str, y: str) -> str:
    """What `main` calls a function with."""
    known = {**given, "x": x, "y": y}
    return ", ".join(known[name] for name in function.identifiers)


def _adding(sums: Sequence[str], results: Sequence[str], rows: str) -> list[str]:
    """A batch's loss, weighted by its rows, and its metrics added to the sums."""
    lines = [f"{sums[0]} += float({results[0]}) * {rows}"]
    pairs = zip(sums[1:], results[1:], strict=True)
    return lines + [f"{name} += float({result})" for name, result in pairs]


def _means(sums: Sequence[str], counts: Sequence[int], x: str) -> list[str]:
    return [
        f"{name} / " + (f"({count} * len({x}))" if count != 1 else f"len({x})")
        for name, count in zip(sums, counts, strict=True)
    ]


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
        lines.append(
            f"    x{tail} = np.divide(images{tail}, 255, dtype=np.float32).reshape(-1, {shape})"
        )
        lines.append(f"    y{tail} = labels{tail}.astype(np.int64)")
    return lines
