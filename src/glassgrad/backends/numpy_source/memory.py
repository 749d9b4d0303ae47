"""Keep the memory of large temporaries between training steps (glibc on Linux).

A step on images makes and drops arrays of several megabytes. glibc gives such blocks back to the
kernel as soon as they are free and has them mapped in again, page by page, at the next step;
simple array operations then take several times as long. `keep_memory` asks glibc to keep freed
memory for the next step. The process then stays as large as it has once been.

Set GLASSGRAD_KEEP_MEMORY=0 to leave the allocator alone. This is the one place that makes the
platform call; nothing else in glassgrad depends on whether it worked, and no result changes.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1  # free memory at the top of the heap that is given back
M_MMAP_THRESHOLD = -3  # from this size on, a block is mapped by itself and unmapped when freed

LARGEST = 2**30  # bytes; both numbers are C ints
LARGEST_MMAP = 2**25  # the most that every glibc accepts as M_MMAP_THRESHOLD on 64 bits


@functools.cache
def keep_memory() -> bool:
    """Tell glibc, once in a process, to keep freed memory; True if that is now in force.

    Anything else than glibc on Linux, and a wish of the user's to the contrary, is a quiet False.
    """
    if os.environ.get("GLASSGRAD_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  (only glibc has it)
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    # One setting alone gains nothing, so both must be accepted; mallopt answers 1 for yes.
    mapped = mallopt(M_MMAP_THRESHOLD, LARGEST) or mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP)
    return bool(mapped) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
