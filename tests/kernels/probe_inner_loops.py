"""Script that test_inner_loops.py runs: the inner loops of products, compiled for a processor that need not be there.

    python probe_inner_loops.py TRIPLE PROCESSOR BYTES COUNT

The arguments are what LLVM calls the processor, and the bytes and number of its registers. Prints as JSON, for each
intrinsic, the products that its largest block has, and products and accesses to the stack of each innermost loop.
"""

import json
import re
import sys

import llvmlite.binding as llvm
import numba

from numsnn.kernels.compile import FASTMATH
from numsnn.kernels.cpu.inline import vector

triple, processor, vector.REGISTER_BYTES, vector.REGISTERS = *sys.argv[1:3], *map(int, sys.argv[3:5])
from numsnn.kernels.cpu.inline import blocks, lateral, lines  # noqa: E402  they read the registers when imported

PRODUCT = re.compile(r"\t(fmla|fmul|vfmadd\w+|v?mulps)\b")
# On x86 the frame is reached through rsp; rbp holds any address, such as that of a row.
STACK = re.compile(r"\[(sp|x29)\b|\(%rsp\b")
LABEL, JUMP = re.compile(r"(\.L\w+):"), re.compile(r"\t(?:b\.\w+|cbn?z|tbn?z|j\w+)\s.*?(\.L\w+)")

a, n, i = numba.float32[::1], numba.intp, numba.intp[::1]


def assembly(intrinsic, arguments):
    """The assembly of a function that calls an intrinsic and does nothing else."""
    names = ", ".join(f"x{k}" for k in range(len(arguments)))
    space = {"intrinsic": intrinsic}
    exec(f"def call({names}):\n    intrinsic({names})", space)
    compiled = numba.njit(arguments, _nrt=False, no_cfunc_wrapper=True, error_model="numpy", fastmath=FASTMATH)(
        space["call"]
    )
    text = compiled.inspect_llvm(compiled.signatures[0])
    text = re.sub(r'^target .*$|"target-(cpu|features)"="[^"]*"', "", text, flags=re.MULTILINE)
    module = llvm.parse_assembly(text)
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3, reloc="pic")
    module.triple, module.data_layout = triple, str(machine.target_data)
    return machine.emit_assembly(module)


def loops(intrinsic, *arguments):
    """Number of products and of accesses to the stack, of each innermost loop with products."""
    found, start, text = [], {}, assembly(intrinsic, arguments).split("\n")
    for k, line in enumerate(text):
        if label := LABEL.match(line):
            start[label[1]] = k
        jump = JUMP.match(line)
        if jump and jump[1] in start:
            body = text[start[jump[1]] + 1 : k + 1]
            if not any(map(LABEL.match, body)):
                counts = [sum(bool(pattern.search(one)) for one in body) for pattern in (PRODUCT, STACK)]
                found += [counts] if counts[0] else []
    return found


llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
product = blocks.multiply_rows, a, i, n, i, n, n, a, n, n, a, n, a, n, i, n, numba.boolean
results = {
    "multiply_rows": (blocks.TILE_ROWS * blocks.TILE_VECTORS, loops(*product)),
    "sum_rows": (blocks.MOST_VECTORS, loops(blocks.sum_rows, a, n, a, n, a, n, n, i, a, n, n)),
    "lateral": (
        lateral.BLOCK_ROWS * lateral.BLOCK_VECTORS,
        loops(lateral._multiply_rows, a, n, n, n, a, n, a, n, n, n, n),
    ),
    "sum_pixel": (lines.BLOCKS[-1], loops(lines.sum_pixel, a, n, n, a, n, n, i, a, n, n, n)),
}
blocks.TILE_ROWS = 20
print(json.dumps(results | {"too many rows": (20 * blocks.TILE_VECTORS, loops(*product))}))
