"""Sizes that tests change are not compiled into machine code, so no test can leave wrong code on disk."""

import ast
from pathlib import Path

import small_tiles

import numsnn

CUDA = Path(numsnn.__file__).parent / "kernels" / "cuda"


def compiled_functions(tree):
    """Functions that are decorated as kernels or as device functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(one) in ("kernel", "device") for one in node.decorator_list
        ):
            yield node


def read_by(function):
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def test_no_kernel_reads_a_size_that_tests_change():
    found = 0
    for module, changed in small_tiles.CUDA.items():
        tree = ast.parse((CUDA / f"{module.replace('.', '/')}.py").read_text())
        for function in compiled_functions(tree):
            found += 1
            assert not read_by(function) & set(changed), f"{module}.{function.name}"
    assert found > 20
