"""Compile every CUDA kernel without a device and report the results: python compile_ptx.py OUT [PROCESSES]

If PROCESSES is 0, nothing is compiled, and the entries end with the key. The first variant of every kernel is compiled
for all compute capabilities, further variants for the newest one.

The script writes JSON with "missing", the functions that the device does not have, and "kernels", a list with one entry
per kernel, combination of argument types and compute capability:

    module, kernel      module and name of the kernel
    variant             flags and equations in the closure of the kernel
    callers             functions of the device that start the kernel
    types               types of its arguments
    key                 key under which its machine code is stored on disk
    cc                  compute capability, such as [9, 0]
    double              number of instructions in float64
    vectors             number of loads and stores that move 16 bytes
    registers           registers per thread in the machine code
    stack, spills, shared    bytes of stack, of spilled registers and of shared memory in the machine code
    seconds             time to compile and link
"""

import json
import multiprocessing
import re
import sys
import time
import types as python_types
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # own_neurons

import drive
import dry_run
import quick_compile
from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import types
from numba.cuda.compiler import compile_cuda, kernel_fixup
from numba.cuda.cudadrv import nvvm

from numsnn import machine_code

CAPABILITIES = (8, 0), (9, 0)


def variant(kernel):
    """Return the contents of the closure of a kernel as text."""
    return _closure(kernel.py_func)


def _closure(function):
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return ", ".join(f"{name}={_text(cell.cell_contents)}" for name, cell in cells if name != "source")


def _text(value):
    """Describe a function by its name and its own closure, because two rules make functions of the same name."""
    if isinstance(value, python_types.FunctionType):
        return f"{value.__name__}({_closure(value)})" if value.__closure__ else value.__name__
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and not isinstance(value, python_types.ModuleType) else repr(value)


def named(kernel):
    """Return the module and the name of a kernel."""
    return kernel.py_func.__module__.rpartition(".")[2], kernel.py_func.__name__


def key(kernel):
    """Return the key under which the machine code of a kernel is stored on disk."""
    return machine_code.digest(kernel.py_func)


def compiled(kernel, argument_types):
    """Compile a kernel as a launch does, and return its library."""
    options = {name: value for name, value in kernel.targetoptions.items() if name in ("fastmath", "max_registers")}
    result = compile_cuda(
        kernel.py_func,
        types.void,
        argument_types,
        cc=dry_run.DEVICE.compute_capability,
        nvvm_options={"fastmath": options.get("fastmath", False), "opt": 3},
        **options,
    )
    library = result.library
    entry = library.get_function(result.fndesc.llvm_func_name)
    library._entry_name = entry.name
    kernel_fixup(entry, False)
    nvvm.set_launch_bounds(entry, kernel.targetoptions.get("launch_bounds"))
    return library


def described(task):
    """Return the part of an entry that is known without compiling."""
    kernel, argument_types = TASKS[task]
    return {
        "module": named(kernel)[0],
        "kernel": named(kernel)[1],
        "variant": variant(kernel),
        "callers": dry_run.LAUNCHES[TASKS[task]],
        "types": list(map(str, argument_types)),
        "key": key(kernel),
    }


def measured(task):
    """Return the entries of one kernel and combination of types. The kernel is lowered once for all capabilities,
    because this step does not depend on the capability."""
    common, start = described(task), time.perf_counter()
    first = next(k for k, (kernel, _) in enumerate(TASKS) if named(kernel) == named(TASKS[task][0]))
    try:
        library = compiled(*TASKS[task])
        entries = []
        for capability in CAPABILITIES if task == first else CAPABILITIES[-1:]:
            ptx = library.get_asm_str(cc=capability)
            entries.append(common | {"cc": capability} | counts(ptx) | linked(ptx, capability))
            now = time.perf_counter()
            entries[-1]["seconds"], start = round(now - start, 3), now
        return entries
    except Exception as error:
        return [common | {"error": f"{type(error).__name__}: {error}"}]


def counts(ptx):
    """Count the instructions in float64 and the accesses of 16 bytes."""
    body = [line for line in ptx.splitlines() if re.match(r"\s+(@\S+\s+)?[a-z]", line)]
    wide = r"(ld|st)\.\S*v(4\.[bfus]32|2\.[bfus]64)"
    return {
        "double": sum(".f64" in line for line in body),
        "vectors": sum(bool(re.search(wide, line)) for line in body),
    }


def linked(ptx, capability):
    """Link the code and return what ptxas reports on the machine code."""
    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}", ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    linker.link("cubin")
    log = linker.get_info_log()

    def number(pattern):
        found = re.findall(pattern, log)
        return max(map(int, found), default=0)

    if "registers" not in log:
        raise RuntimeError(f"ptxas says nothing of registers: {log!r}")
    return {
        "registers": number(r"Used (\d+) registers"),
        "stack": number(r"(\d+) bytes stack frame"),
        "spills": number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        "shared": number(r"(\d+) bytes smem"),
    }


if __name__ == "__main__":
    dry_run.note_launches()
    drive.everything()
    TASKS = list(dry_run.LAUNCHES)
    quick_compile.settle()
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if processes:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            found = pool.map(measured, range(len(TASKS)), chunksize=1)
    else:
        found = [[described(task)] for task in range(len(TASKS))]
    results = {"missing": drive.MISSING, "kernels": [entry for entries in found for entry in entries]}
    Path(sys.argv[1]).write_text(json.dumps(results, indent=1) + "\n")
