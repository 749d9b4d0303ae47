"""`python -m glassgrad`: the command."""

import sys

from glassgrad.cli import main

if __name__ == "__main__":
    sys.exit(main())
