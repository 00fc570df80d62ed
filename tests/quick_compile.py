"""What makes compilation quicker without a change of the machine code."""

import gc
import sys


def settle():
    """Call this when everything is imported, before kernels are compiled.

    Compiling makes millions of objects that soon go away, and the collector of garbage goes through everything that
    stays each time; this took a seventh of the time. Numba tells listeners of every lock that it takes, tens of
    thousands of times per kernel. Nobody listens here; this took a fifteenth.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 100)
    for name in ("numba.core.event", "numba.cuda.core.event"):
        events = sys.modules.get(name)
        for tell in ("start_event", "end_event") if events else ():
            setattr(events, tell, _without_locks(getattr(events, tell)))


def _without_locks(tell):
    return lambda kind, *details, **named: None if kind.endswith("_lock") else tell(kind, *details, **named)
