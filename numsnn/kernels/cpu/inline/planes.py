"""Inner loops of dense convolutions between few channels (`ways.planes`): vectors hold neighbouring positions.

All arrays are flat and have the same real type; offset holds integers.
"""

from numba import types
from numba.extending import intrinsic

from .vector import REGISTERS, Emitter

VECTORS = 4 if REGISTERS == 32 else 2
"""Vectors of positions that `correlate_planes` computes at a time."""

OUTPUTS = 4, 2, 1
"""Numbers of outputs that are computed at a time. With VECTORS, half of the registers hold sums."""

DEPTH = 4 if REGISTERS == 32 else 2
"""Entries of offset that `multiply_planes` sums at a time."""


def _blocks(emit, outputs, write):
    """Write the code of a loop over blocks of outputs: write(first output, their number)."""
    builder, done = emit.builder, emit.number(0)
    for size in OUTPUTS:
        stop = builder.sub(outputs, builder.srem(builder.sub(outputs, done), emit.number(size)))
        with emit.steps(done, stop, size) as (first, _):
            write(first, size)
        done = stop


@intrinsic
def correlate_planes(typingctx, out, pitch, initial, source, offset, depth, weights, outputs, positions):
    """Compute out[o pitch + p] = initial[o] + sum over k < depth of weights[k outputs + o] source[offset[k] + p], for
    o < outputs and p < positions, rounded up to VECTORS whole vectors."""
    size = types.intp
    signature = types.void(out, size, initial, source, offset, size, weights, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        out, pitch, initial, source, offset, depth, weights, outputs, positions = arguments
        emit = Emitter(context, builder, kinds[0].dtype)

        def write(first, size):
            numbers = [builder.add(first, emit.number(i)) for i in range(size)]
            with emit.steps(emit.number(0), positions, VECTORS * emit.lanes) as (p, _):
                totals = [[emit.variable() for _ in range(VECTORS)] for _ in numbers]
                for number, row in zip(numbers, totals, strict=True):
                    start = emit.spread(builder.load(emit.pointer(kinds[2], initial, number)))
                    for total in row:
                        builder.store(start, total)
                with emit.steps(emit.number(0), depth) as (k, _):
                    place = emit.pointer(kinds[3], source, builder.add(emit.read_index(kinds[4], offset, k), p))
                    inputs = [emit.load(place, j) for j in range(VECTORS)]
                    row_of_weights = builder.add(builder.mul(k, outputs), first)
                    place = emit.pointer(kinds[6], weights, row_of_weights)
                    for i, row in enumerate(totals):
                        factor = emit.spread(builder.load(builder.gep(place, [emit.number(i)])))
                        for total, numbers_of_inputs in zip(row, inputs, strict=True):
                            emit.accumulate(total, numbers_of_inputs, factor)
                for number, row in zip(numbers, totals, strict=True):
                    place = emit.pointer(kinds[0], out, builder.add(builder.mul(number, pitch), p))
                    for j, total in enumerate(row):
                        emit.store(builder.load(total), place, j)

        _blocks(emit, outputs, write)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply_planes(typingctx, sums, source, offset, depth, slopes, pitch, outputs, positions):
    """Add the products of source and slopes to vectors of sums, lane by lane.

    sums[(k outputs + o) lanes + p % lanes] += source[offset[k] + p] slopes[o pitch + p] over p < positions, for
    k < depth, a multiple of DEPTH, and o < outputs.
    """
    size = types.intp
    signature = types.void(sums, source, offset, size, slopes, size, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        sums, source, offset, depth, slopes, pitch, outputs, positions = arguments
        emit = Emitter(context, builder, kinds[0].dtype)

        def write(first, size):
            rows = [builder.mul(builder.add(first, emit.number(i)), pitch) for i in range(size)]
            right = [emit.pointer(kinds[4], slopes, row) for row in rows]
            with emit.steps(emit.number(0), depth, DEPTH) as (k, _):
                entries = [builder.add(k, emit.number(j)) for j in range(DEPTH)]
                left = [emit.pointer(kinds[1], source, emit.read_index(kinds[2], offset, entry)) for entry in entries]
                places = []
                for entry in entries:
                    at = builder.add(builder.mul(entry, outputs), first)
                    at = builder.mul(at, emit.number(emit.lanes))
                    places.append(emit.pointer(kinds[0], sums, at))
                totals = [[emit.variable() for _ in rows] for _ in entries]
                for place, row in zip(places, totals, strict=True):
                    for i, total in enumerate(row):
                        builder.store(emit.load(place, i), total)

                def add(p, mask=None):
                    factors = [emit.load(builder.gep(pointer, [p]), 0, mask) for pointer in right]
                    for pointer, row in zip(left, totals, strict=True):
                        inputs = emit.load(builder.gep(pointer, [p]), 0, mask)
                        for total, factor in zip(row, factors, strict=True):
                            emit.accumulate(total, inputs, factor)

                emit.vectors(positions, add)
                for place, row in zip(places, totals, strict=True):
                    for i, total in enumerate(row):
                        emit.store(builder.load(total), place, i)

        _blocks(emit, outputs, write)
        return context.get_dummy_value()

    return signature, generate
