"""Programs as data. Knows no op by name; everything below it in the house is a walk over this."""

from .graph import (
    DTYPES as DTYPES,
)
from .graph import (
    FLOATS as FLOATS,
)
from .graph import (
    INPUT as INPUT,
)
from .graph import (
    Attribute as Attribute,
)
from .graph import (
    Graph as Graph,
)
from .graph import (
    Node as Node,
)
from .graph import (
    Op as Op,
)
from .graph import (
    Origin as Origin,
)
from .graph import (
    Scope as Scope,
)
from .graph import (
    Type as Type,
)
from .graph import (
    Value as Value,
)
from .graph import (
    attribute_key as attribute_key,
)
from .graph import (
    reachable as reachable,
)
from .graph import (
    verify as verify,
)
from .sizes import (
    Dim as Dim,
)
from .sizes import (
    Ratio as Ratio,
)
from .sizes import (
    Shape as Shape,
)
from .sizes import (
    Size as Size,
)
from .sizes import (
    bind as bind,
)
from .sizes import (
    broadcast as broadcast,
)
from .sizes import (
    product as product,
)
from .text import parse_graph as parse_graph
from .text import print_graph as print_graph
