# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Parakeet TDT of 0.6 G parameters with random weights: it hears nothing, but costs what the real one costs.

usage: random_parakeet.py FOLDER int8|float32

The encoder is NeMo's FastConformer as ONNX files have it, operator by operator: the tensors of float32 take to the byte
what the publisher's file of them takes (2,435,420,160). In int8 its matrices and convolutions are what onnxruntime's
dynamic quantization makes of them, written down at once; the decoder is quantized by onnxruntime itself. Each step of
the decoder says a token and goes on by 80 to 320 ms: three tokens or more for a second of sound, as with speech.

Needs numpy, onnx and onnxruntime. Takes 3.2 GiB of memory in int8 and 0.5 in float32.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

MELS, CHANNELS, WIDTH, LAYERS, HEADS, KERNEL, POSITIONS = 128, 256, 1024, 24, 8, 9, 5000
VOCABULARY, STATE, STEPS = 8193, 640, 5  # tokens with the blank, of the decoder's state, and how far a token may go on
NEVER = -9.0
OPSET = 17
Tensor = str


class Graph:
    """A graph that is written down operator by operator; its weights are random."""

    def __init__(self, path: Path, int8: bool, beside: bool) -> None:
        self.path, self.int8 = path, int8
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.rng = np.random.default_rng(0)
        self.seen: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}
        self.constants: dict[tuple[str, bytes], Tensor] = {}
        self.outside = (path.parent / f"{path.name}.data").open("wb") if beside else None

    def add(self, kind: str, *inputs: Tensor, outputs: int = 1, **attributes: Any) -> Any:
        """An operator, and what comes out of it."""
        names = [f"{kind}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def kept(self, values: Any) -> Tensor:
        """A tensor in the file itself."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, values: Any) -> Tensor:
        """A tensor of weights, which may lie in a file beside it."""
        if not self.outside:
            return self.kept(values)
        tensor = TensorProto(name=f"weight_{len(self.weights)}", data_type=TensorProto.FLOAT, dims=values.shape)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": f"{self.path.name}.data", "offset": self.outside.tell(), "length": values.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self.outside.write(values.tobytes())
        self.weights.append(tensor)
        return tensor.name

    def random(self, *shape: int, fan: int) -> Any:
        """Weights that neither grow nor shrink what goes through them."""
        return self.rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(fan))

    def constant(self, values: Any, kind: Any = np.int64) -> Tensor:
        """A small number or list, once."""
        array = np.array(values, kind)
        key = (f"{array.dtype}{array.shape}", array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.kept(array)
        return self.constants[key]

    def number(self, value: float) -> Tensor:
        return self.constant(value, np.float32)

    def quantized(self, x: Tensor, kind: str, *shape: int, fan: int, **attributes: Any) -> Tensor:
        """A product with weights of eight bits, as quantize_dynamic writes it."""
        if x not in self.seen:
            self.seen[x] = tuple(self.add("DynamicQuantizeLinear", x, outputs=3))
        values, scale, zero = self.seen[x]
        spread = 30
        weights = np.clip(self.rng.standard_normal(shape, np.float32) * spread + 128, 0, 255).astype(np.uint8)
        own = self.kept(np.array(1 / spread / np.sqrt(fan), np.float32))
        middle = self.constant(128, np.uint8)
        product = self.add(kind, values, self.kept(weights), zero, middle, **attributes)
        return self.add("Mul", self.add("Cast", product, to=TensorProto.FLOAT), self.add("Mul", scale, own))

    def linear(self, x: Tensor, rows: int, columns: int, bias: bool = False) -> Tensor:
        """A matrix; Parakeet's have no bias, but for one."""
        if self.int8:
            x = self.quantized(x, "MatMulInteger", rows, columns, fan=rows)
        else:
            x = self.add("MatMul", x, self.weight(self.random(rows, columns, fan=rows)))
        return self.add("Add", x, self.weight(np.zeros(columns, np.float32))) if bias else x

    def conv(
        self, x: Tensor, inputs: int, outputs: int, size: tuple[int, ...], bias: bool = True, **how: Any
    ) -> Tensor:
        """A convolution; `inputs` are those of one group."""
        shape = (outputs, inputs, *size)
        fan = int(np.prod(shape[1:]))
        how["kernel_shape"] = size
        if not self.int8:
            weights = [self.weight(self.random(*shape, fan=fan))]
            weights += [self.weight(np.zeros(outputs, np.float32))] if bias else []
            return str(self.add("Conv", x, *weights, **how))
        x = self.quantized(x, "ConvInteger", *shape, fan=fan, **how)
        at = (1, outputs, *(1 for _ in size))
        return self.add("Add", x, self.kept(np.zeros(at, np.float32))) if bias else x

    def norm(self, x: Tensor) -> Tensor:
        one, none = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
        return str(self.add("LayerNormalization", x, self.weight(one), self.weight(none), axis=-1, epsilon=1e-5))

    def swish(self, x: Tensor) -> Tensor:
        return str(self.add("Mul", x, self.add("Sigmoid", x)))

    def shape(self, x: Tensor, *sizes: int) -> Tensor:
        return str(self.add("Reshape", x, self.constant(sizes)))

    def part(self, x: Tensor, begin: Tensor, end: Tensor, axis: int) -> Tensor:
        return str(self.add("Slice", x, begin, end, self.constant([axis])))

    def size(self, x: Tensor, axis: int) -> Tensor:
        """As a list of one."""
        return str(self.add("Gather", self.add("Shape", x), self.constant([axis])))

    def save(self, inputs: list[Any], outputs: dict[Tensor, Any]) -> None:
        """Write the file; what is to come out of it gets its name."""
        for name, (made, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [made], [name]))
        infos = [helper.make_tensor_value_info(name, kind, shape) for name, (_, (kind, shape)) in outputs.items()]
        graph = helper.make_graph(self.nodes, "parakeet", inputs, infos, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        self.path.write_bytes(model.SerializeToString())
        if self.outside:
            self.outside.close()


def info(name: str, kind: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def halved(g: Graph, length: Tensor) -> Tensor:
    """How many frames are left of so many."""
    less = g.add("Sub", length, g.constant(1))
    return str(g.add("Add", g.add("Div", less, g.constant(2)), g.constant(1)))


def within(g: Graph, frames: Tensor, length: Tensor) -> Tensor:
    """For each row, which of the frames belong to its sound."""
    every = g.add("Range", g.constant(0), g.add("Squeeze", frames), g.constant(1))
    return str(g.add("Less", g.add("Unsqueeze", every, g.constant([0])), g.add("Unsqueeze", length, g.constant([1]))))


def masked(g: Graph, x: Tensor, length: Tensor) -> Tensor:
    """The frames behind the end of a sound as silence, between the convolutions."""
    there = g.add("Cast", within(g, g.size(x, 2), length), to=TensorProto.FLOAT)
    return str(g.add("Mul", x, g.add("Unsqueeze", there, g.constant([1, 3]))))


def shrink(g: Graph, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Eight frames become one."""
    x = g.add("Unsqueeze", g.add("Transpose", x, perm=[0, 2, 1]), g.constant([1]))
    half = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = g.conv(masked(g, x, length), 1, CHANNELS, (3, 3), **half)
    length = halved(g, length)
    x = g.add("Relu", x)
    for _ in range(2):
        x = g.conv(masked(g, x, length), 1, CHANNELS, (3, 3), group=CHANNELS, **half)
        length = halved(g, length)
        x = g.add("Relu", g.conv(masked(g, x, length), CHANNELS, CHANNELS, (1, 1)))
    x = g.shape(g.add("Transpose", masked(g, x, length), perm=[0, 2, 1, 3]), 0, 0, CHANNELS * MELS // 8)
    return g.linear(x, CHANNELS * MELS // 8, WIDTH, bias=True), length


def forward(g: Graph, x: Tensor) -> Tensor:
    """Half a feed-forward part, added."""
    y = g.linear(g.swish(g.linear(g.norm(x), WIDTH, 4 * WIDTH)), 4 * WIDTH, WIDTH)
    return str(g.add("Add", x, g.add("Mul", y, g.number(0.5))))


def heads(g: Graph, x: Tensor) -> Tensor:
    return g.shape(x, 0, -1, HEADS, WIDTH // HEADS)


def attention(g: Graph, x: Tensor, positions: Tensor, frames: Tensor, hidden: Tensor) -> Tensor:
    """Each frame hears the others, by what they are and by how far they are away."""
    y = g.norm(x)
    q, k, v = (heads(g, g.linear(y, WIDTH, WIDTH)) for _ in range(3))
    p = heads(g, g.linear(positions, WIDTH, WIDTH))
    biases = [g.weight(g.random(HEADS, WIDTH // HEADS, fan=WIDTH)) for _ in range(2)]
    what, where = (g.add("Transpose", g.add("Add", q, bias), perm=[0, 2, 1, 3]) for bias in biases)
    k, p = (g.add("Transpose", each, perm=[0, 2, 3, 1]) for each in (k, p))
    far = g.add("MatMul", where, p)
    far = g.add("Pad", far, g.constant([0, 0, 0, 1, 0, 0, 0, 0]), g.number(0))
    doubled = g.size(far, 3)  # twice the frames
    turned = g.add("Concat", g.constant([0, 0]), doubled, frames, axis=0)
    far = g.part(g.add("Reshape", far, turned), g.constant([1]), g.constant([2**62]), 2)
    less = g.add("Sub", doubled, g.constant([1]))
    far = g.add("Reshape", far, g.add("Concat", g.constant([0, 0]), frames, less, axis=0))
    far = g.part(far, g.constant([0]), frames, 3)
    scores = g.add("Div", g.add("Add", g.add("MatMul", what, k), far), g.number(np.sqrt(WIDTH // HEADS)))
    scores = g.add("Softmax", g.add("Where", hidden, g.number(-10000), scores), axis=-1)
    scores = g.add("Where", hidden, g.number(0), scores)
    y = g.add("MatMul", scores, g.add("Transpose", v, perm=[0, 2, 1, 3]))
    y = g.shape(g.add("Transpose", y, perm=[0, 2, 1, 3]), 0, -1, WIDTH)
    return str(g.add("Add", x, g.linear(y, WIDTH, WIDTH)))


def convolution(g: Graph, x: Tensor, behind: Tensor) -> Tensor:
    """Each frame hears those that are near."""
    y = g.conv(g.add("Transpose", g.norm(x), perm=[0, 2, 1]), WIDTH, 2 * WIDTH, (1,), bias=False)
    one, other = g.add("Split", y, g.constant([WIDTH, WIDTH]), outputs=2, axis=1)
    y = g.add("Where", behind, g.number(0), g.add("Mul", one, g.add("Sigmoid", other)))
    y = g.conv(y, 1, WIDTH, (KERNEL,), group=WIDTH, pads=[KERNEL // 2] * 2)
    y = g.conv(g.swish(y), WIDTH, WIDTH, (1,), bias=False)
    return str(g.add("Add", x, g.add("Transpose", y, perm=[0, 2, 1])))


def encoder(path: Path, int8: bool) -> None:
    """The encoder's file."""
    g = Graph(path, int8, beside=not int8)
    x, length = shrink(g, "audio_signal", "length")
    frames = g.size(x, 1)
    table = g.kept(g.rng.standard_normal((1, 2 * POSITIONS - 1, WIDTH), np.float32))
    middle = g.constant([POSITIONS])
    positions = g.part(
        table, g.add("Sub", middle, frames), g.add("Sub", g.add("Add", middle, frames), g.constant([1])), 1
    )
    there = within(g, frames, length)
    both = g.add("And", *(g.add("Unsqueeze", there, g.constant([axis])) for axis in (1, 2)))
    hidden = g.add("Unsqueeze", g.add("Not", both), g.constant([1]))
    behind = g.add("Unsqueeze", g.add("Not", there), g.constant([1]))
    for _ in range(LAYERS):
        x = attention(g, forward(g, x), positions, frames, hidden)
        x = g.norm(forward(g, convolution(g, x, behind)))
    found = {"outputs": (g.add("Transpose", x, perm=[0, 2, 1]), (TensorProto.FLOAT, ("batch", WIDTH, "steps")))}
    found["encoded_lengths"] = length, (TensorProto.INT64, ("batch",))
    inputs = [
        info("audio_signal", TensorProto.FLOAT, "batch", MELS, "time"),
        info("length", TensorProto.INT64, "batch"),
    ]
    g.save(inputs, found)


def decoder(path: Path) -> None:
    """The decoder's file: the network that predicts the next token, and the one that joins it with what is heard."""
    g = Graph(path, int8=False, beside=False)
    x = g.add("Transpose", g.add("Gather", g.kept(g.random(VOCABULARY, STATE, fan=1)), "targets"), perm=[1, 0, 2])
    states: list[list[Tensor]] = [[], []]
    for layer in range(2):
        begin = [g.part(f"input_states_{n}", g.constant([layer]), g.constant([layer + 1]), 0) for n in (1, 2)]
        weights = [g.kept(g.random(1, 4 * STATE, STATE, fan=STATE)) for _ in range(2)]
        weights.append(g.kept(np.zeros((1, 8 * STATE), np.float32)))
        y, *after = g.add("LSTM", x, *weights, "", *begin, outputs=3, hidden_size=STATE)
        x = g.add("Squeeze", y, g.constant([1]))
        for kept, state in zip(states, after, strict=True):
            kept.append(state)
    none = np.zeros(STATE, np.float32)
    said = g.add("MatMul", g.add("Transpose", x, perm=[1, 0, 2]), g.kept(g.random(STATE, STATE, fan=STATE)))
    heard = g.add("Transpose", "encoder_outputs", perm=[0, 2, 1])
    heard = g.add("MatMul", heard, g.kept(g.random(WIDTH, STATE, fan=WIDTH)))
    said, heard = (g.add("Add", each, g.kept(none)) for each in (said, heard))
    joint = g.add("Add", g.add("Unsqueeze", heard, g.constant([2])), g.add("Unsqueeze", said, g.constant([1])))
    bias = np.zeros(VOCABULARY + STEPS, np.float32)
    bias[VOCABULARY - 1] = bias[VOCABULARY] = NEVER  # nothing, which is the last token, and to stay where one is
    out = g.add("MatMul", g.add("Relu", joint), g.kept(g.random(STATE, VOCABULARY + STEPS, fan=STATE)))
    state = (TensorProto.FLOAT, (2, "batch", STATE))
    found = {"outputs": (g.add("Add", out, g.kept(bias)), (TensorProto.FLOAT, ("batch", "steps", "tokens", len(bias))))}
    found["prednet_lengths"] = "target_length", (TensorProto.INT32, ("batch",))
    for number, kept in enumerate(states, 1):
        found[f"output_states_{number}"] = g.add("Concat", *kept, axis=0), state
    inputs = [
        info("encoder_outputs", TensorProto.FLOAT, "batch", WIDTH, "steps"),
        info("targets", TensorProto.INT32, "batch", "tokens"),
        info("target_length", TensorProto.INT32, "batch"),
        *(info(f"input_states_{number}", *state[:1], *state[1]) for number in (1, 2)),
    ]
    g.save(inputs, found)


def build(folder: Path, precision: str) -> Path:
    """Write the model into a folder, in one precision."""
    folder.mkdir(parents=True, exist_ok=True)
    int8 = precision == "int8"
    infix = ".int8" if int8 else ""
    encoder(folder / f"encoder-model{infix}.onnx", int8)
    plain = folder / "decoder_joint-model.onnx"
    decoder(plain)
    if int8:
        quantize_dynamic(plain, folder / "decoder_joint-model.int8.onnx", weight_type=QuantType.QUInt8)
        plain.unlink()
    pieces = [*(f"\u2581t{number}" for number in range(VOCABULARY - 1)), "<blk>"]
    (folder / "vocab.txt").write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(pieces)), "utf-8")
    config = {"model_type": "nemo-conformer-tdt", "features_size": MELS, "subsampling_factor": 8}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
