"""A graph as the text of one NumPy function.

Nodes come in schedule order. A value that is used once, nearby, and has no name of its own is
written inside the line that uses it; every other gets a line and a name. Lines change arrays in
place only where they own them: state in the update, and fresh values that nobody else reads.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from glassgrad.errors import InternalError
from glassgrad.ir import INPUT, Graph, Node, Scope, Value, reachable
from glassgrad.passes.rewrite import scheduled

from .cells import cell_text, fill_expression, fill_lines, literal, occurrences
from .layout import banner, comment, heading, mentions, with_deletions, wrapped
from .loops import only_starts, write_loop
from .names import Names, plain
from .pieces import Block, Piece, piece_of, stretched_number, uses_in

LONGEST_INLINE = 72
DEEPEST_INLINE = 4
LONGEST_STEP = 90  # `weights -= ...` may be long: it is the point of it all
_IN_PLACE = {"add": ast.Add, "subtract": ast.Sub, "multiply": ast.Mult, "divide": ast.Div}
BANNERS = {"forward": "forward", "backward": "backward: d_v is dL/dv, same shape as v"}


@dataclass(slots=True)
class Function:
    """The text of a function: its lines, and what they need."""

    name: str
    arguments: list[str]
    lines: list[str]
    returns: list[str]
    identifiers: dict[str, str] = field(default_factory=dict)  # input name -> identifier
    # Of each node in order the name that its value has in the text, "" where it has none.
    named: tuple[tuple[Node, str], ...] = ()


class Writer:
    """Writes one function. `returns` names the outputs it gives back, state left out."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        *,
        returns: Sequence[str] | None = None,
        reserved: Sequence[str] = (),
        banners: bool = False,
    ) -> None:
        self.graph = graph
        self.name = name
        self.banners = banners
        self.returns = list(
            [k for k in graph.outputs if k not in graph.state.values()]
            if returns is None
            else returns
        )
        self.names = Names(reserved)
        self.pieces: dict[Value, Piece] = {}
        self.identifier: dict[Value, str] = {}
        self.lines: list[str] = []
        self.place: tuple[str, str] = ("", "")
        self.guarded = False
        self.common = _names_of_several_layers(graph)
        guards = [graph.outputs[name] for name in graph.guard]
        self.before_guard = set(reachable(guards))

    def write(self) -> Function:
        """The function's lines, from first to last."""
        graph = self.graph
        for size in graph.sizes:
            self.names.taken.add(size)
        identifiers = {}
        for name, value in graph.inputs.items():
            identifiers[name] = self._bind(value, self.names.take(name))
        kept = {graph.outputs[name] for name in self.returns}
        kept |= {graph.outputs[name] for name in graph.guard}
        block = Block(graph, "    ", uses_in(graph.nodes()), kept)
        self._plan_state(block)
        # In the update, what the guard looks at comes first.
        late = {n: n.origin.phase == "update" and n not in self.before_guard for n in graph.nodes()}
        order = sorted(scheduled(graph), key=lambda n: late[n])
        ends = []  # of layers, as places in the lines
        for before, node in zip([None, *order], order, strict=False):
            if before is not None and _layer(before) != _layer(node):
                ends.append(len(self.lines))
            self._write_node(node, block)
        self._guard(block)
        self._assign_state(block)
        returns = [
            ast.unparse(self.pieces[graph.outputs[name]].expression) for name in self.returns
        ]
        if returns:
            self.lines.append(f"    return {', '.join(returns)}")
        if any(node.origin.again for node in order):
            self._free(ends, {v for n in order for v in n.values if _grows(v)})
        sizes = [
            f"    {size} = len({identifiers[source]})"
            if axis == 0
            else f"    {size} = {identifiers[source]}.shape[{axis}]"
            for size, (source, axis) in graph.sizes.items()
            if any(mentions(line, size) for line in self.lines)
        ]
        return Function(
            self.name,
            [identifiers[name] for name in graph.inputs],
            sizes + self.lines,
            returns,
            identifiers,
            tuple([(n, self.identifier.get(n.values[0], "")) for n in order]),
        )

    def _free(self, ends: Sequence[int], values: set[Value]) -> None:
        """Names are deleted at the end of the layer that reads them last, to free their arrays."""
        names = {self.identifier[v] for v in values if v in self.identifier}
        names -= {self.identifier[v] for v in self.graph.inputs.values()}
        self.lines = with_deletions(self.lines, ends, names)

    # -- one node ------------------------------------------------------------------------------

    def _write_node(self, node: Node, block: Block) -> None:
        op = node.op
        if op is INPUT or "reader" in op.roles:
            return
        if "constant" in op.roles:
            expression = literal(node.attributes["value"])
            self.pieces[node.values[0]] = piece_of(expression)
            return
        if "loop" in op.roles:
            self._write_loop(node, block)
            return
        (value,) = node.values
        if node in block.owner:
            self._write_in_place(node, block, self.identifier[block.owner[node]])
            return
        text = stretched_number(node) or cell_text(node)
        if isinstance(text, tuple):
            self._write_lines(node, text, block)
            return
        operands = [self._piece(v) for v in node.inputs]
        absorbed = self._absorbed(node, block)
        if absorbed is not None:
            self._write_in_place(node, block, self.identifier[absorbed])
            return
        expression = fill_expression(node, text, [p.expression for p in operands])
        piece = piece_of(expression, 1 + max((p.depth for p in operands), default=0))
        if self._inline(value, piece, block):
            self.pieces[value] = piece
            return
        self._assign(value, expression, block)

    def _assign(self, value: Value, expression: ast.expr, block: Block) -> None:
        target = block.stored.get(value)
        self._head(value.node, block)
        if target is None:
            name = self._take_name(self._final(value, block))
            target = ast.Name(name, ast.Store())
            self._bind(value, name)
        else:
            self.pieces[value] = piece_of(target)
        self._line(f"{ast.unparse(target)} = {ast.unparse(expression)}", block)

    def _write_lines(self, node: Node, text: tuple[str, ...], block: Block) -> None:
        """A cell of several lines; its first copy is left out where the operand can be taken."""
        (value,) = node.values
        operands = [self._piece(v).expression for v in node.inputs]
        taken = self._absorbed(node, block) if "inplace" in node.op.roles else None
        self._head(node, block)
        if taken is not None:
            name = self.identifier[taken]
            text = text[1:]
        else:
            name = self._take_name(self._final(value, block))
            if "inplace" in node.op.roles and self._ownable(node, block):
                fresh = ast.unparse(self._piece(node.inputs[0]).expression)
                self._line(f"{name} = {fresh}", block)
                text = text[1:]
        self._bind(value, name)
        for statement in fill_lines(node, text, operands, ast.Name(name, ast.Store())):
            self._line(ast.unparse(statement), block)
        if value in block.stored:
            target = ast.unparse(block.stored[value])
            self._line(f"{target} = {name}", block)

    def _ownable(self, node: Node, block: Block) -> bool:
        """Whether the first operand is an expression written here, which nobody else sees."""
        first = node.inputs[0]
        return (
            not self._piece(first).simple
            and (first.node.op.result == "fresh" or stretched_number(first.node) is not None)
            and len(block.uses.get(first, ())) == 1
        )

    def _write_in_place(self, node: Node, block: Block, name: str) -> None:
        """`v op= other`, where v is the operand's own array."""
        first, second = node.inputs
        other = second if self._is_name(first, name) else first
        self._head(node, block)
        self._bind(node.values[0], name)
        statement = ast.AugAssign(
            ast.Name(name, ast.Store()), _IN_PLACE[node.op.name](), self._piece(other).expression
        )
        self._line(ast.unparse(statement), block)
        if node.values[0] in block.stored:
            self._line(f"{ast.unparse(block.stored[node.values[0]])} = {name}", block)

    def _is_name(self, value: Value, name: str) -> bool:
        return self.identifier.get(value) == name

    # -- decisions -----------------------------------------------------------------------------

    def _inline(self, value: Value, piece: Piece, block: Block) -> bool:
        if value in block.kept or value in block.stored:
            return False
        uses = block.uses.get(value, [])
        if stretched_number(value.node) and uses and only_starts(value, uses):
            return True
        if _as_good_as_a_name(value.node, piece) and not self._wish(value):
            return True
        if len(uses) != 1 or self._wish(value):
            return False
        (user,) = uses
        origin, there = value.node.origin, user.origin
        # What changes state is written when its phase comes, never earlier or later.
        if (origin.scope, origin.phase) != (there.scope, there.phase):
            return False
        longest = LONGEST_STEP if user in block.owner else LONGEST_INLINE
        if piece.length > longest or piece.depth > DEEPEST_INLINE + 2 * (user in block.owner):
            return False
        if "loop" in user.op.roles:
            return stretched_number(value.node) is not None
        return self._takes_expression(user, value)

    def _takes_expression(self, user: Node, value: Value) -> bool:
        if "inplace" in user.op.roles and user.inputs[0] is value:
            fresh = value.node.op.result == "fresh" or stretched_number(value.node) is not None
            return fresh and user.inputs.count(value) == 1
        text = cell_text(user)
        if isinstance(text, tuple):
            return all(
                sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(ast.parse(line)))
                <= 1
                for line in text[1 if "inplace" in user.op.roles else 0 :]
                for name, v in zip(user.op.inputs, user.inputs, strict=False)
                if v is value
            )
        if user.op.inputs and user.op.inputs[-1].startswith("*"):
            return True
        return all(
            occurrences(text, name) <= 1
            for name, v in zip(user.op.inputs, user.inputs, strict=True)
            if v is value
        )

    def _absorbed(self, node: Node, block: Block) -> Value | None:
        """The operand whose array this node may take over: fresh, named here, read by no other."""
        for value in self._candidates(node):
            if (
                value in self.identifier
                and value not in block.kept
                and value not in block.stored
                and value.node.op is not INPUT
                and value.node not in block.owner
                and value.node.op.result == "fresh"
                and "reader" not in value.node.op.roles
                and not self._wish(value)
                and len(block.uses.get(value, ())) == 1
                and value.type == node.values[0].type
                and value.node.origin.phase == node.origin.phase
            ):
                return value
        return None

    @staticmethod
    def _candidates(node: Node) -> tuple[Value, ...]:
        if "inplace" in node.op.roles:
            return node.inputs[:1]
        if node.op.name in _IN_PLACE and len(set(node.inputs)) == 2:
            return node.inputs if "commutative" in node.op.roles else node.inputs[:1]
        return ()

    def _final(self, value: Value, block: Block) -> Value:
        """The last value that will live in the array this one starts."""
        while True:
            uses = block.uses.get(value, ())
            if len(uses) != 1 or self._wish(value) or value in block.kept:
                return value
            (user,) = uses
            if (
                value not in self._candidates(user)
                or value.node.op.result != "fresh"
                or user.values[0].type != value.type
                or user.origin.phase != value.node.origin.phase
                or user in block.owner
            ):
                return value
            value = user.values[0]

    # -- names ---------------------------------------------------------------------------------

    def _wish(self, value: Value) -> str:
        """The name a value should have, or nothing."""
        origin = value.node.origin
        if origin.name:
            return origin.name
        if origin.gradient_of is not None:
            of = origin.gradient_of
            name = self.identifier.get(of) or self._wish(of)
            return f"d_{name}" if name else ""
        return ""

    def _take_name(self, value: Value) -> str:
        wish = self._wish(value)
        scope = value.node.origin.scope.rsplit(".", 1)[-1]
        if not wish:
            if "random" in value.node.op.roles:
                return self.names.take("draws")
            if value.node.op.name == "reshape" and len(value.type.shape) == 2:
                whole = value.node.inputs[0]  # its rows, of all batches or times
                if name := self.identifier.get(whole) or self._wish(whole):
                    return self.names.take(f"{name}_rows")
            if value.node.origin.phase == "backward":
                return self.names.take(f"d_{scope or 'value'}_part")
            # Outside layers, what a user's function computes has the name of its op.
            return self.names.take(f"{scope}_part" if scope else value.node.op.name)
        if not scope or plain(wish).startswith(plain(scope)):
            return self.names.take(wish)
        d = "d_" if wish.startswith("d_") else ""
        own = f"{d}{scope}_{wish[len(d) :]}"
        # What several layers have, such as patches, says everywhere whose it is.
        return self.names.take(own) if wish[len(d) :] in self.common else self.names.take(wish, own)

    def _bind(self, value: Value, name: str) -> str:
        self.identifier[value] = name
        self.pieces[value] = Piece(ast.Name(name, ast.Load()), len(name))
        return name

    def _piece(self, value: Value) -> Piece:
        if value not in self.pieces:
            raise InternalError("a value is used before it is written", where=repr(value))
        return self.pieces[value]

    # -- lines ---------------------------------------------------------------------------------

    def _line(self, text: str, block: Block) -> None:
        self.lines += wrapped(block.indent, text)

    def _head(self, node: Node, block: Block) -> None:
        """Comments where a new phase or layer begins."""
        origin = node.origin
        if block.graph is not self.graph:
            return
        if origin.phase == "update":
            self._update_banner()
            if not self.guarded and node not in self.before_guard:
                self._guard(block)
            if self.banners and self.guarded and origin.scope != self.place[1]:
                self._update_heading(origin.scope)
            return
        if not self.banners:
            return
        phase, scope = self.place
        phase_now, scope_now = origin.phase, origin.scope + " again" * origin.again
        if phase_now != phase:
            if self.lines:
                self.lines.append("")
            self.lines.append(banner("    ", BANNERS[phase_now]))
            scope = ""
        if scope_now != scope:
            known = self.graph.scopes.get(origin.scope)
            if known is not None:
                self.lines += self._scope_heading(known, phase_now, origin.again)
        self.place = (phase_now, scope_now)

    def _update_banner(self) -> None:
        if not self.banners or self.place[0] == "update":
            return
        update = self.graph.scopes.get("update", Scope("update"))
        text = f"update: {update.title}   {update.forward}".rstrip().rstrip(":")
        self.lines += ["", banner("    ", text)]
        self.place = ("update", "")

    def _update_heading(self, scope: str) -> None:
        """Whose state the next lines of the update change."""
        update = self.graph.scopes.get("update", Scope("update")).title
        if scope == "update" and self.place[1]:
            self.lines.append(f"    # weights: {comment(update)}")
        elif scope != "update":
            self.lines.append(f"    # {comment(scope)}: running statistics, for evaluation")
        self.place = ("update", scope)

    def _scope_heading(self, scope: Scope, phase: str, again: bool) -> list[str]:
        formula = scope.forward if phase == "forward" or again else scope.backward
        if not (scope.title or formula):
            return []
        if again:
            return heading("    ", f"{scope.path} again", formula)
        title = scope.title if phase == "forward" else ""
        label = scope.path + (f": {title}" if title and title != scope.path else "")
        return heading("    ", label, formula)

    def _guard(self, block: Block) -> None:
        """Nothing is updated unless loss and gradients are finite."""
        if self.guarded or not self.graph.guard:
            return
        self.guarded = True
        self._update_banner()
        checks = []
        for name in self.graph.guard:
            value = self.graph.outputs[name]
            text = ast.unparse(self._piece(value).expression)
            checks.append(f"np.isfinite({text})" + (".all()" if value.type.shape else ""))
        joined = " and ".join(checks)
        self._line(f"if not ({joined}):" if len(checks) > 1 else f"if not {joined}:", block)
        self.lines.append("        return None")

    # -- state ---------------------------------------------------------------------------------

    def _plan_state(self, block: Block) -> None:
        """Which nodes change a state array in place, and which state is assigned at the end."""
        self.assigned: list[tuple[Value, Value]] = []
        graph = self.graph
        for source, target in graph.state.items():
            state, new = graph.inputs[source], graph.outputs[target]
            chain = self._chain(state, new, block)
            if chain is None:
                self.assigned.append((state, new))
                block.kept.add(new)
            else:
                for node in chain:
                    block.owner[node] = state

    def _chain(self, state: Value, new: Value, block: Block) -> list[Node] | None:
        """The nodes from a state to its next value, each made from the one before in place."""
        # Whoever gets what the state holds now, or what it will hold, must not see it change.
        given = list(self.graph.outputs.values())
        last = self._last_reader(state, block)
        if last is None or given.count(new) > 1 or _aliases(state, block) & set(given):
            return None
        chain: list[Node] = []
        value = new
        while value is not state:
            node = value.node
            if node.origin.phase != "update" or value.type != state.type:
                return None
            if value is not new and (len(block.uses.get(value, ())) != 1 or value in given):
                return None
            if node in block.owner:
                return None
            steps = [v for v in self._candidates(node) if v is state or _leads_to(v, state, block)]
            if "inplace" in node.op.roles or len(steps) != 1:
                return None
            chain.append(node)
            value = steps[0]
        return chain if chain and chain[-1] is last else None

    def _last_reader(self, state: Value, block: Block) -> Node | None:
        """The one line of the update that may change a state in place: the last that reads it.

        Nothing if the state is read through a view, or by what may be written later.
        """
        readers = [
            user
            for alias in _aliases(state, block)
            for user in block.uses.get(alias, ())
            if user.origin.phase == "update"
        ]
        readers.sort(key=lambda node: node.origin.seq)
        if not readers or any(r.op.result == "view" for r in readers):
            return None
        *early, last = readers
        late = {node for node in readers if node not in self.before_guard}
        if last in early or (early and last not in late):
            return None
        return last if all(self._done_before(r, last, block) for r in early) else None

    def _done_before(self, node: Node, last: Node, block: Block) -> bool:
        """Whether a node, or the line it is written in, has a name and comes before another."""
        if node.origin.seq >= last.origin.seq or "loop" in node.op.roles:
            return False
        value = node.values[0]
        if self._wish(value):
            return True
        uses = block.uses.get(value, [])
        return len(uses) == 1 and self._done_before(uses[0], last, block)

    def _assign_state(self, block: Block) -> None:
        """State whose next value is not made in place; what is still read is copied first."""
        todo = [(state, new) for state, new in self.assigned if new is not state]
        texts = []
        for _, new in todo:
            text = ast.unparse(self._piece(new).expression)
            if len(todo) > 1 and (new.node.op is INPUT or new.node.op.result == "view"):
                name = self.names.take("next_value")
                self._line(f"{name} = {text}.copy()", block)
                text = name
            texts.append(text)
        for (state, _), text in zip(todo, texts, strict=True):
            self._line(f"{self.identifier[state]}[...] = {text}", block)

    # -- loops ---------------------------------------------------------------------------------

    def _write_loop(self, node: Node, outer: Block) -> None:
        write_loop(self, node, outer)


def _names_of_several_layers(graph: Graph) -> frozenset[str]:
    """Names of intermediate values that occur in more than one layer."""
    where: dict[str, set[str]] = {}
    for node in graph.nodes():
        if node.origin.inner and node.origin.scope:
            where.setdefault(node.origin.name, set()).add(node.origin.scope)
    return frozenset(name for name, scopes in where.items() if len(scopes) > 1)


def _layer(node: Node) -> tuple[str, str, bool]:
    return node.origin.phase, node.origin.scope, node.origin.again


def _grows(value: Value) -> bool:
    """Whether it is larger for a larger batch."""
    return any(not isinstance(size, int) for size in value.type.shape)


def _as_good_as_a_name(node: Node, piece: Piece) -> bool:
    """`w.T` and `w.reshape(6, 25)` are views that cost nothing, however often they are written."""
    source = node.inputs[0].node if node.inputs else None
    turned = node.op.name == "permute"
    if turned and piece.depth == 2 and source is not None and source.op.name == "reshape":
        node, source = source, source.inputs[0].node  # `x.reshape(16 * n, 32).T`
    elif piece.depth != 1:
        return False
    if piece.length > 40:
        return False
    if "host" in node.op.roles:  # a number of the host is the same number beside tensors
        return isinstance(piece.expression, ast.Name)
    if node.op.name == "permute":
        return True
    # Only what lies in memory row by row is reshaped without a copy.
    return node.op.name == "reshape" and source is not None and _lies_in_order(source)


def _lies_in_order(node: Node) -> bool:
    if node.op is INPUT:
        return bool(node.attributes["role"] != "data")
    if node.op.name in ("reshape", "slice"):
        return len(node.inputs[0].type.shape) == 1 and _lies_in_order(node.inputs[0].node)
    return node.op.result == "fresh" and node.op.name not in ("last", "stack")


def _aliases(state: Value, block: Block) -> set[Value]:
    found = {state}
    todo = [state]
    while todo:
        for user in block.uses.get(todo.pop(), ()):
            if user.op.result == "view":
                fresh = [v for v in user.values if v not in found]
                found.update(fresh)
                todo += fresh
    return found


def _leads_to(value: Value, state: Value, block: Block) -> bool:
    while value is not state:
        if value.node.op.name not in _IN_PLACE or len(block.uses.get(value, ())) != 1:
            return False
        candidates = [v for v in Writer._candidates(value.node) if v.type == state.type]
        reached = [v for v in candidates if v is state]
        if reached:
            return True
        inner = [v for v in candidates if v.node.op.name in _IN_PLACE]
        if not inner:
            return False
        value = inner[0]
    return True
