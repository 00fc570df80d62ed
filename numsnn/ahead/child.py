"""A process that compiles for another one. It is run as a script, without the rest of the package until it knows where
that is.

Its arguments are the descriptor of a file that it has inherited, and the folders in which modules are found. The file
holds a pickled dict: "task", the module whose function ``compile_ahead(order)`` gets the dict, and what that function
needs. What it returns is written to the output as one line of JSON. With "stays", the process then keeps its claims and
waits. The same file serves for the claims (`claims`).

The process ends when its input ends, and thus with the process at the other end, however that ends.
"""

import json
import os
import pickle
import signal
import sys
import threading


def end_with_input():
    """End this process when its input ends, at once and whatever it is doing."""
    while os.read(0, 1 << 12):
        pass
    os._exit(0)


def main(descriptor, number, processes, *folders):
    """Do a task.

    Args:
        descriptor: descriptor of the file, as text.
        number, processes: which of how many processes this is, as text; they become a part of the order.
        folders: where modules are found.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process, whose end is seen
    watcher = threading.Thread(target=end_with_input, daemon=True)
    watcher.start()
    sys.path[:] = folders
    from importlib import import_module

    from numsnn import machine_code
    from numsnn.ahead.claims import Claims

    file = int(descriptor)
    machine_code.claims = Claims(file)
    sys.stdout = sys.stderr  # the output is for the answer
    order = pickle.loads(os.pread(file, os.fstat(file).st_size, 0))  # several processes read at once
    found = import_module(order["task"]).compile_ahead(order | {"number": int(number), "processes": int(processes)})
    os.write(1, json.dumps(found).encode() + b"\n")
    if order["stays"]:
        watcher.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
