"""A whole run as one file: the step, the loop over the data, and what it leaves behind."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
_OWN = """a added added_rows b data epoch evaluate file final first folder found gradient here history
    images images_val kept labels labels_val loss loss_sum main memory name objective order parts rate rate_at rates reached row
    rows seen shape since start step titles train_step u update updates value w weights x x_val y
    y_val""".split()


_STOP = "raise SystemExit(f'inf or nan in epoch {epoch}: nothing was updated')"


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
    inputs: Sequence[str]  # the arrays that have rows, as the step takes them
    tested: Sequence[str]  # those of the validation rows, as the evaluation takes them
    parts: Sequence[tuple[str, tuple[int, ...], int, int]]  # name, shape, start, stop
    # Name, first value (or pieces (how many, what) of it), whether it is one number.
    moments: Sequence[tuple[str, Any, bool]]
    held: Sequence[str]  # buffers and frozen parameters
    metrics: Sequence[tuple[str, int]]  # name, count per row
    epochs: int
    batch_size: int | None
    shuffle: bool
    seed: int
    rate: float
    schedule: tuple[str, str] | None = None  # "step" or "epoch", and the text of `rate_at`
    rates: Sequence[tuple[int, float]] = ()  # (first update, rate): how it was changed by hand
    together: int = 0  # how many batches make one update, where gradients are added up
    kept: int | None = None  # the epoch whose weights are the last ones
    augment: tuple[tuple[str, tuple[int, ...], tuple[Any, ...]], ...] = ()  # of the first input
    lbfgs: tuple[Any, ...] = ()  # what follows the rate in a call of lbfgs, where that is the rule
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


def whole_program(
    step: Function, update: Function | None, evaluate: Function | None, recipe: Recipe
) -> str:
    """The run as a file that needs only NumPy and what lies beside it."""
    texts = [function_text(f) for f in (step, update, evaluate) if f is not None]
    if recipe.schedule is not None:
        texts.append(recipe.schedule[1])
    texts.append(_Main(step, update, evaluate, recipe).text())
    first = ONE_THREAD if recipe.one_thread else ""
    text = assemble(texts, docstring(recipe.about), whole=True, first=first).rstrip("\n")
    text += '\n\n\nif __name__ == "__main__":\n    main()\n'
    check_program(ast.parse(text), whole=True)
    return text


class _Main:
    """`main()`: read, shuffle, train, print, write."""

    def __init__(
        self,
        step: Function,
        update: Function | None,
        evaluate: Function | None,
        recipe: Recipe,
    ) -> None:
        self.step, self.update, self.evaluate, self.recipe = step, update, evaluate, recipe
        self.lines: list[str] = []
        names = self.names = Names([*_OWN, *helper_sources()])
        own = {"x": "x", "y": "y"}
        self.inputs = {n: own.get(n) or names.take(n) for n in recipe.inputs}
        self.tested = {n: f"{n}_val" if n in own else names.take(f"{n}_val") for n in recipe.tested}
        self.given = {"weights": "weights", "step": "step", "seed": str(recipe.seed)}
        self.given |= {n: names.take(n) for n in (*[m[0] for m in recipe.moments], *recipe.held)}
        changes = recipe.schedule is not None or recipe.rates
        self.given["rate"] = "rate" if changes else repr(recipe.rate)
        self.counter = "step" if update is None else "updates"
        self.first = self.inputs[recipe.inputs[0]]

    def put(self, text: str, depth: int = 1) -> None:
        """A line of main, or several where it is long."""
        self.lines.extend(wrapped("    " * depth, text))

    def text(self) -> str:
        """The whole function."""
        self.read()
        self.train()
        self.write()
        return "\n".join(["def main():", *self.lines]) + "\n"

    # -- before --------------------------------------------------------------------------------

    def read(self) -> None:
        """The arrays, and what the run starts from."""
        put, recipe = self.put, self.recipe
        put("here = Path(__file__).parent")
        put("start = np.load(here / 'initial.npz')")
        if recipe.data is None:
            put("data = np.load(here / 'data.npz')")
            self.unpack(self.inputs, "")
            if self.evaluate is not None:
                self.unpack(self.tested, "_val")
        else:
            self.lines += _read_files(recipe.data, self.evaluate is not None)
        put("# the parameters, each with its place in the vector of weights")
        put("parts = (")
        for name, shape, begin, stop in recipe.parts:
            put(f"({name!r}, {shape!r}, {begin}, {stop}),", 2)
        put(")")
        put("weights = np.concatenate([start[name].ravel() for name, _, _, _ in parts])")
        for name, first, scalar in recipe.moments:
            put(f"{self.given[name]} = {_first(first, scalar)}")
        for name in recipe.held:
            put(f"{self.given[name]} = start[{name!r}]")
        if recipe.rates:
            put("# the learning rate was changed on the way: (first step, rate)")
            put(f"rates = {((1, recipe.rate), *recipe.rates)!r}")
        if recipe.lbfgs:
            self.put_objective()
        put("history = []")
        columns = self.columns()
        shown = [*columns, *([f"val_{name}" for name in columns] if self.evaluate else [])]
        put(f"titles = {shown!r}")
        if self.counts():
            put("step = 0")
        if self.update is not None:
            put("updates = 0")

    def unpack(self, names: dict[str, str], tail: str) -> None:
        """`x, y = data['x'], data['y']`."""
        values = ", ".join(f"data[{name + tail!r}]" for name in names)
        self.put(f"{', '.join(names.values())} = {values}")

    def columns(self) -> list[str]:
        """What is counted in every epoch."""
        return ["loss", *[name for name, _ in self.recipe.metrics]]

    def counts(self) -> bool:
        """Whether the number of the step is asked for."""
        by_step = self.recipe.rates or (self.recipe.schedule or ("", ""))[0] == "step"
        return "step" in self.step.identifiers or bool(by_step and self.update is None)

    # -- the loop ------------------------------------------------------------------------------

    def train(self) -> None:
        """Epoch after epoch, batch after batch."""
        put, recipe, names = self.put, self.recipe, self.names
        batch, count = recipe.batch_size, f"len({self.first})"
        columns = self.columns()
        counts = [1, *[count for _, count in recipe.metrics]]
        sums = ["loss_sum", *[names.take(f"{name}_sum") for name in columns[1:]]]
        results = [names.take(f"batch_{name}") for name in columns]
        put(f"for epoch in range(1, {recipe.epochs + 1}):")
        if recipe.schedule is not None and recipe.schedule[0] == "epoch":
            put("rate = rate_at(epoch - 1)", 2)
        if recipe.shuffle and batch is not None:
            words = f"random_words({count}, {recipe.seed}, 'shuffle', epoch)"
            put(f"order = {words}.argsort(kind='stable')", 2)
        if recipe.augment:
            put(f"u = augment_numbers({count}, {recipe.seed}, epoch)", 2)
        put(" = ".join([*sums, "0.0"]), 2)
        if self.update is not None and batch is not None:
            put("added = added_rows = 0", 2)
        depth = 2
        if batch is not None:
            put(f"for first in range(0, {count}, {batch}):", 2)
            end = f"first + {batch}"
            put(f"rows = {f'order[first:{end}]' if recipe.shuffle else f'slice(first, {end})'}", 3)
            depth = 3
        if self.counts():
            put("step += 1", depth)
        if self.update is None:
            self.put_rate(depth)
        given = {n: f"{v}[rows]" if batch else v for n, v in self.inputs.items()}
        if recipe.augment:
            given[recipe.inputs[0]] = self.put_changes(depth, given[recipe.inputs[0]])
        put(f"found = train_step({self.arguments(self.step, given)})", depth)
        if not recipe.lbfgs:
            put("if found is None:", depth)
            put(_STOP, depth + 1)
        if recipe.lbfgs:
            put(f"{', '.join([*results, '_'])} = found", depth)
        elif len(results) > 1:
            put(f"{', '.join(results)} = found", depth)
        else:
            results = ["found"]
        rows = f"len({given[recipe.inputs[0]]})"
        for text in _adding(sums, results, rows):
            put(text, depth)
        if recipe.lbfgs:
            rest = ", ".join([self.given["rate"], *map(repr, recipe.lbfgs)])
            put(f"weights, reached = lbfgs(objective, weights, memory, {rest})", depth)
            put("if not math.isfinite(reached):", depth)
            put(_STOP, depth + 1)
        self.put_update(depth, rows)
        put(f"row = [{', '.join(_means(sums, counts, self.first))}]", 2)
        if self.evaluate is not None:
            self.put_test(sums, results, counts)
        put("history.append(row)", 2)
        if recipe.kept is not None:
            put(f"if epoch == {recipe.kept}:", 2)
            put(f"kept = [{', '.join(f'{v}.copy()' for v in self.changing())}]", 3)
        put("row = [f'{name} {value:.6f}' for name, value in zip(titles, row)]", 2)
        put("print(f'epoch {epoch:>4}', *row, sep='   ')", 2)

    def put_changes(self, depth: int, images: str) -> str:
        """The images of a batch as this epoch sees them."""
        rows = "rows" if self.recipe.batch_size else ":"
        for name, columns, how_much in self.recipe.augment:
            numbers = [f"u[{rows}, {i}]" for i in columns]
            self.put(f"seen = {name}({', '.join([images, *numbers, *map(repr, how_much)])})", depth)
            images = "seen"
        self.put("seen = np.ascontiguousarray(seen)", depth)
        return "seen"

    def put_objective(self) -> None:
        """Loss and gradient as a function of the weights alone."""
        arguments = self.arguments(self.step, {**self.inputs, "weights": "w"})
        names = ", ".join([*["_"] * len(self.recipe.metrics), "gradient"])
        self.lines += [
            "    memory = dict()",
            "",
            "    def objective(w):",
            f"        loss, {names} = train_step({arguments})",
            "        return loss, gradient",
            "",
        ]

    def put_rate(self, depth: int) -> None:
        """The learning rate of this update, where it changes."""
        if self.recipe.rates:
            latest = f"[value for since, value in rates if since <= {self.counter}][-1]"
            self.put(f"rate = {latest}", depth)
        elif self.recipe.schedule is not None and self.recipe.schedule[0] == "step":
            self.put(f"rate = rate_at({self.counter} - 1)", depth)

    def put_update(self, depth: int, rows: str) -> None:
        """The update that follows when enough batches were added up, or the epoch ends."""
        if self.update is None:
            return
        put, batch = self.put, self.recipe.batch_size
        given = {"rows": rows}
        if batch is not None:
            put("added += 1", depth)
            put(f"added_rows += {rows}", depth)
            last = f"first + {batch} >= len({self.first})"
            put(f"if added == {self.recipe.together} or {last}:", depth)
            depth += 1
            given = {"rows": "added_rows"}
        put("updates += 1", depth)
        self.put_rate(depth)
        put(f"update({self.arguments(self.update, {**given, 'step': 'updates'})})", depth)
        if batch is not None:
            put("added = added_rows = 0", depth)

    def put_test(self, sums: Sequence[str], results: Sequence[str], counts: Sequence[int]) -> None:
        """Loss and metrics on the validation rows."""
        assert self.evaluate is not None
        put, names = self.put, self.names
        tested = self.tested[self.recipe.inputs[0]]
        sums = [names.take(f"val_{name}") for name in sums]
        put(" = ".join([*sums, "0.0"]), 2)
        put(f"for first in range(0, len({tested}), {self.recipe.chunk}):", 2)
        put(f"rows = slice(first, first + {self.recipe.chunk})", 3)
        given = {n: f"{v}[rows]" for n, v in self.tested.items()}
        put(f"{', '.join(results)} = evaluate({self.arguments(self.evaluate, given)})", 3)
        for text in _adding(sums, results, f"len({tested}[rows])"):
            put(text, 3)
        put(f"row += [{', '.join(_means(sums, counts, tested))}]", 2)

    def changing(self) -> list[str]:
        """The variables of what training changes and a model holds."""
        return ["weights", *[self.given[name] for name in self.recipe.held]]

    def arguments(self, function: Function, given: dict[str, str]) -> str:
        """What `main` calls a function with."""
        known = {**self.given, **given}
        return ", ".join(known[name] for name in function.identifiers)

    # -- after ---------------------------------------------------------------------------------

    def write(self) -> None:
        """The history and the last numbers."""
        put, recipe = self.put, self.recipe
        if recipe.kept is not None:
            put(f"# the best epoch was {recipe.kept}: its numbers are kept")
            put(f"{', '.join(self.changing())} = {'kept' if recipe.held else 'kept[0]'}")
        elif "average" in [name for name, _, _ in recipe.moments]:
            put(f"weights = {self.given['average']}")
        put(r"with open(here / 'replayed.csv', 'w', encoding='utf-8', newline='\n') as file:")
        put(r"file.write(','.join(['epoch', *titles]) + '\n')", 2)
        put("for epoch, row in enumerate(history, 1):", 2)
        put(r"file.write(','.join([str(epoch), *[repr(value) for value in row]]) + '\n')", 3)
        put("final = {name: weights[a:b].reshape(shape) for name, shape, a, b in parts}")
        for name in recipe.held:
            put(f"final[{name!r}] = {self.given[name]}")
        put("np.savez(here / 'replayed.npz', **final)")


def _first(value: Any, scalar: bool) -> str:
    """What a state of the optimiser begins as."""
    if isinstance(value, tuple):
        counts, values = zip(*value, strict=True)
        return f"np.repeat({list(values)!r}, {list(counts)!r}).astype(weights.dtype)"
    if value is None:
        return "weights.copy()"
    if scalar:
        return f"np.full((), {value!r}, weights.dtype)"
    return "np.zeros_like(weights)" if value == 0 else f"np.full_like(weights, {value!r})"


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
    for tail in ("", "_val") if validation else ("",):
        shape = ", ".join(map(str, files.shape))
        lines.append(
            f"    x{tail} = np.divide(images{tail}, 255, dtype=np.float32).reshape(-1, {shape})"
        )
        lines.append(f"    y{tail} = labels{tail}.astype(np.int64)")
    return lines
