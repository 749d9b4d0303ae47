"""Programs as data. Knows no op by name; everything below it in the house is a walk over this."""

from .graph import (
    DTYPES as DTYPES,
    FLOATS as FLOATS,
    INPUT as INPUT,
    Attribute as Attribute,
    Graph as Graph,
    Node as Node,
    Op as Op,
    Origin as Origin,
    Scope as Scope,
    Type as Type,
    Value as Value,
    attribute_key as attribute_key,
    node_key as node_key,
    reachable as reachable,
    verify as verify,
)
from .sizes import (
    Dim as Dim,
    Ratio as Ratio,
    Shape as Shape,
    Size as Size,
    bind as bind,
    broadcast as broadcast,
    product as product,
)
from .text import parse_graph as parse_graph, print_graph as print_graph
