"""Errors of graphs and of networks with several inputs: one line that says what came and what was expected."""

import numpy as np
import pytest

import numsnn as snn

X = ("x",)
AB = ("a", "b")


def linear():
    return snn.Linear(3, 3)


DECLARED = [
    ("x", {"y": (linear(), "x")}, TypeError, "inputs must be a sequence of names, such as ('eye', 'ear'); got 'x'"),
    ((), {"y": (linear(), "x")}, TypeError, "inputs must be a sequence of names, such as ('eye', 'ear'); got ()"),
    (("x", "x"), {"y": (linear(), "x")}, ValueError, "two inputs are named 'x'"),
    (
        ("a.b",),
        {"y": (linear(), "a.b")},
        ValueError,
        "the name of an input must be text without '.' and '/'; got 'a.b'",
    ),
    (X, {"a/b": (linear(), "x")}, ValueError, "the name of a node must be text without '.' and '/'; got 'a/b'"),
    (X, {3: (linear(), "x")}, ValueError, "the name of a node must be text without '.' and '/'; got 3"),
    (X, {"add": (linear(), "x")}, ValueError, "'add' has a meaning of its own and cannot be the name of a node"),
    (("type",), {}, ValueError, "'type' has a meaning of its own and cannot be the name of an input"),
    (X, {}, TypeError, "nodes must be a dict from names to (layer, input); got {}"),
    (X, [("y", "x")], TypeError, "nodes must be a dict from names to (layer, input); got [('y', 'x')]"),
    (
        X,
        {"y": linear()},
        TypeError,
        "node 'y' must be a tuple (layer, input), ('concat', input, input) or ('add', input, input); got Linear(3, 3)",
    ),
    (
        X,
        {"y": ("concat",)},
        TypeError,
        "node 'y' must be a tuple (layer, input), ('concat', input, input) or ('add', input, input); got ('concat',)",
    ),
    (X, {"x": (linear(), "x")}, ValueError, "'x' is the name of an input and of a node; choose another one"),
    (
        X,
        {"hidden": (linear(), "x"), "y": (linear(), "hiden")},
        ValueError,
        "node 'y' reads 'hiden', which is neither an input nor a node. Did you mean 'hidden'?",
    ),
    (
        X,
        {"y": (linear(), "qq")},
        ValueError,
        "node 'y' reads 'qq', which is neither an input nor a node; there are 'x', 'y'",
    ),
    (X, {"y": ("add", "x", "x")}, ValueError, "node 'y' reads 'x' twice"),
    (X, {"y": ("concat", "x")}, ValueError, "node 'y': 'concat' joins two or more inputs; got 'x' alone"),
    (
        AB,
        {"y": (linear(), "a", "b")},
        ValueError,
        "node 'y': a layer reads one input; got 'a', 'b'. Join them in a node of their own: ('concat', 'a', 'b') or "
        "('add', 'a', 'b')",
    ),
    (
        X,
        {"first": (linear(), "x"), "y": ("frist", "first")},
        ValueError,
        "node 'y': 'frist' is neither a node with a layer nor a join. Did you mean 'first'?",
    ),
    (
        AB,
        {"sum": ("add", "a", "b"), "y": ("sum", "sum")},
        ValueError,
        "node 'y': 'sum' is neither a node with a layer nor a join",
    ),
    (AB, {"y": (linear(), "a")}, ValueError, "no node reads the input 'b'"),
    (
        X,
        {"y": (linear(), "x"), "z": (linear(), "x")},
        ValueError,
        "has one output, the node that no other node reads; got 2: 'y', 'z'",
    ),
    (
        X,
        {"p": ("add", "x", "r"), "q": (linear(), "p"), "r": (linear(), "q"), "y": (linear(), "r")},
        ValueError,
        "nodes must not read each other in a circle: 'q', 'r', 'p'. Recurrent neurons connect back in time",
    ),
    (
        X,
        {"y": (linear(), "y")},
        ValueError,
        "nodes must not read each other in a circle: 'y'. Recurrent neurons connect back in time",
    ),
]


@pytest.mark.parametrize(("inputs", "nodes", "error", "message"), DECLARED, ids=[message for *_, message in DECLARED])
def test_declarations(refuses, inputs, nodes, error, message):
    with refuses(error, f"Graph: {message}"):
        snn.Graph(inputs, nodes)


def test_a_layer_that_is_part_of_two_nodes(refuses):
    shared = linear()
    message = "a layer stands in the network twice; make a second one, or share it between two nodes of an snn.Graph"
    with refuses(ValueError, f"Graph: nodes: {message}"):
        snn.Graph(X, {"y": (shared, "x"), "z": (snn.Sequential(shared), "y")})
    net = snn.Graph(X, {"y": (shared, "x"), "z": (shared, "y")})
    with refuses(ValueError, f"Sequential: layers: {message}"):
        snn.Sequential(net["y"], net["z"])


def two(**nodes):
    return snn.Graph(AB, nodes or {"y": ("concat", "a", "b"), "z": (snn.Linear(6, 2), "y")}, name="net").to("reference")


SHAPES = {"a": (4, 2, 3), "b": (4, 2, 3)}
BUILDS = [
    ({"a": (4, 2, 3)}, "net: the input 'b' is missing; got 'a'"),
    (SHAPES | {"c": (4, 2, 3)}, "net: there is no input 'c'; the inputs are 'a', 'b'"),
    (
        (4, 2, 3),
        "net: takes 2 inputs; give one shape for each of 'a', 'b', as a dict or tuple; got 3 of them",
    ),
    (
        SHAPES | {"b": (4, 3, 3)},
        "net (Graph): all inputs must have the same number of samples; got a (4, 2, 3), b (4, 3, 3)",
    ),
    (
        SHAPES | {"b": (5, 2, 3)},
        "net (Graph): what y (concat) joins may differ only in channels; got a (4, 2, 3), b (5, 2, 3)",
    ),
    (SHAPES | {"b": 5}, "net.build: b: a shape must be a sequence of whole numbers; got 5"),
    (SHAPES | {"b": (4, 2, 4)}, "z (Linear): input must be [T, N, 6]; got (4, 2, 7)"),
]


@pytest.mark.parametrize(("shapes", "message"), BUILDS, ids=[message for _, message in BUILDS])
def test_shapes(refuses, shapes, message):
    net = two()
    with refuses(snn.ShapeError, message):
        net.build(shapes)
    assert not any(layer.built for layer in net.tree())


def test_what_is_added_has_one_shape(refuses):
    with refuses(snn.ShapeError, "net (Graph): what y (add) joins must have one shape; got a (4, 2, 3), b (4, 2, 4)"):
        two(y=("add", "a", "b")).build({"a": (4, 2, 3), "b": (4, 2, 4)})


def test_an_extent_that_is_no_number(refuses):
    with refuses(
        ValueError, "net.build: a: every extent of shape (4, 2.5, 3) must be a whole number of at least 1; got 2.5"
    ):
        two().build(SHAPES | {"a": (4, 2.5, 3)})


ONE = np.ones((4, 2, 3), np.float32)
GIVEN = [
    ({"a": ONE}, "net: the input 'b' is missing; got 'a'"),
    ({"a": ONE, "bb": ONE}, "net: there is no input 'bb'. Did you mean 'b'?"),
    ((ONE,), "net: takes 2 inputs; give one array for each of 'a', 'b', as a dict or tuple; got 1 of them"),
    (ONE, "net: takes 2 inputs; give one array for each of 'a', 'b', as a dict or tuple; got ndarray"),
    ((ONE, ONE.tolist()), "net: the input 'b' must be a NumPy array; got list"),
    (
        {"a": ONE, "b": ONE.astype(np.float64)},
        "net: the input 'b' must be float32 or uint8; got float64. Convert it: x.astype('float32')",
    ),
    ((ONE[:0], ONE), "net: the input 'a' is empty: shape (0, 2, 3)"),
    ((ONE, ONE * np.inf), "net: the input 'b' holds inf at index (0, 0, 0); every number must be finite"),
]


@pytest.mark.parametrize(("x", "message"), GIVEN, ids=[message for _, message in GIVEN])
def test_inputs(refuses, x, message):
    net = two().build(SHAPES)
    with refuses(ValueError if "holds" in message else snn.ShapeError, message):
        net(x)
    if not isinstance(x, np.ndarray) and "NumPy" not in message and "input" not in message:
        with refuses(snn.ShapeError, message):
            net.forward(x)
    assert net((ONE, ONE)).shape == (4, 2, 2)


CHAIN = [
    (
        {"a": ONE, "b": ONE},
        "chain: takes one input; got a dict of 'a', 'b'. snn.Graph makes networks with several inputs",
    ),
    ((ONE, ONE), "chain: takes one input; got a tuple of 2. snn.Graph makes networks with several inputs"),
    (
        ONE.tolist(),
        "chain: the input must be a NumPy array; got list. Convert it: np.asarray(x, 'float32'), where all lists of "
        "one level have one length",
    ),
    (
        [[[1.0, 2.0], [3.0]]],
        "chain: the input must be a NumPy array; got list. Convert it: np.asarray(x, 'float32'), where all lists of "
        "one level have one length",
    ),
    ("x", "chain: the input must be a NumPy array; got str"),
]


@pytest.mark.parametrize(("x", "message"), CHAIN, ids=range(len(CHAIN)))
def test_inputs_of_a_chain(refuses, x, message):
    with refuses(snn.ShapeError, message):
        snn.Sequential(linear(), name="chain")(x)


def test_build_of_a_chain(refuses):
    chain = snn.Sequential(linear(), name="chain")
    message = "chain.build: takes one input; got a dict of 'a', 'b'. snn.Graph makes networks with several inputs"
    with refuses(snn.ShapeError, message):
        chain.build(SHAPES)
    with refuses(snn.ShapeError, "chain.build: a shape must be a sequence of whole numbers; got 5"):
        chain.build(5)


@pytest.mark.parametrize("kind", ["Residual", "Concat", "Repeat", "Sequential", "Graph"])
def test_several_inputs_inside_a_network(refuses, kind):
    inside, name = two(), "net"
    if kind == "Residual":
        name = "branch"
    message = (
        f"{kind}: {name} takes several inputs (a, b); it must be the whole network or the first layer of a Sequential"
    )
    make = {
        "Residual": lambda: snn.Residual(inside),
        "Concat": lambda: snn.Concat(None, inside),
        "Repeat": lambda: snn.Repeat(3, inside),
        "Sequential": lambda: snn.Sequential(linear(), inside),
        "Graph": lambda: snn.Graph(X, {"net": (inside, "x")}),
    }
    with refuses(ValueError, message):
        make[kind]()


def test_uses_with_other_channels(refuses):
    """Nothing is built then."""
    neuron = snn.LIF()
    nodes = {"p": (snn.Linear(3, 4), "x"), "a": (neuron, "x"), "b": (neuron, "p"), "y": ("concat", "a", "b")}
    net = snn.Graph(X, nodes, name="net").to("reference")
    message = "net (Graph): all uses of one layer must get the same channels; got a (4, 2, 3), b (4, 2, 4)"
    with refuses(snn.ShapeError, message):
        net.build((4, 2, 3))
    assert not any(layer.built for layer in net.tree())


def test_gradient_of_another_shape(refuses):
    net = two().build(SHAPES)
    with pytest.raises(RuntimeError, match=r"^net\.backward: needs a forward pass"):
        net.backward(ONE)
    net.forward((ONE, ONE), snn.layers.TRAINING)
    with pytest.raises(snn.ShapeError, match=r"^net \(Graph\): dL/dy must have shape \(4, 2, 2\); got \(4, 2, 3\)$"):
        net.backward(ONE)
