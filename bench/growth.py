#!/usr/bin/env python3
"""How costs grow: time a multiply-add and time a node for models of 1, 4 and 16 times a size; with --write also into
docs/performance.md.

    bench/growth.py [--linnet build/release/linnet] [--seconds 1] [--write]

Needs nothing but Python: the models are written here, field by field. One thread; the best run counts.
"""
import argparse
import array
import json
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- growth:begin -->", "<!-- growth:end -->"


# ---------------------------------------------------------------- a few fields of onnx.proto

def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(name, dims):
    count = 1
    for dim in dims:
        count *= dim
    source = random.Random(name)
    block = array.array("f", (source.uniform(-1, 1) for _ in range(min(count, 4099))))
    values = (block.tobytes() * (count // len(block) + 1))[:4 * count]
    return b"".join(number(1, dim) for dim in dims) + number(2, 1) + data(8, name) + data(9, values)


def port(name, dims):
    shape = b"".join(data(1, number(1, dim)) for dim in dims)
    return data(1, name) + data(2, data(1, number(1, 1) + data(2, shape)))


def ints(name, values):
    return data(5, data(1, name) + b"".join(number(8, value) for value in values) + number(20, 7))


def node(op, inputs, output, attributes=b""):
    return b"".join(data(1, name) for name in inputs) + data(2, output) + data(4, op) + attributes


def model(nodes, weights, x, y):
    graph = b"".join(data(1, each) for each in nodes) + data(2, "growth") + b"".join(data(5, each) for each in weights)
    graph += data(11, port("x", x)) + data(12, port("y", y))
    return number(1, 8) + data(8, number(2, 17)) + data(7, graph)


# ---------------------------------------------------------------- models: (file, what is counted)

def product(m, n, k):
    return model([node("MatMul", ["x", "w"], "y")], [tensor("w", [k, n])], [m, k], [m, n]), m * n * k


def convolution(size, channels, kernel):
    attributes = ints("pads", [kernel // 2] * 4)
    made = model([node("Conv", ["x", "w"], "y", attributes)], [tensor("w", [channels, channels, kernel, kernel])],
                 [1, channels, size, size], [1, channels, size, size])
    return made, size * size * channels * channels * kernel * kernel


def chain(count):
    """Products of one row: steps that nothing fuses."""
    names = ["x"] + [f"h{i}" for i in range(count - 1)] + ["y"]
    nodes = [node("MatMul", [names[i], f"w{i}"], names[i + 1]) for i in range(count)]
    return model(nodes, [tensor(f"w{i}", [16, 16]) for i in range(count)], [1, 16], [1, 16]), count


SIZES = [1, 4, 16]
PER_MAC = [
    ("product, 32 rows and more, 512 x 512", lambda s: product(32 * s, 512, 512)),
    ("product of one row, 256 x 256 weights and more", lambda s: product(1, 256 * {1: 1, 4: 2, 16: 4}[s], 256 * {1: 1, 4: 2, 16: 4}[s])),
    ("product of 128 rows, 256 x 256 weights and more", lambda s: product(128, 256 * {1: 1, 4: 2, 16: 4}[s], 256 * {1: 1, 4: 2, 16: 4}[s])),
    ("3x3 convolution, 64 channels, 28 x 28 pixels and more", lambda s: convolution(28 * {1: 1, 4: 2, 16: 4}[s], 64, 3)),
    ("1x1 convolution, 64 channels and more, 28 x 28 pixels", lambda s: convolution(28, 64 * {1: 1, 4: 2, 16: 4}[s], 1)),
]
PER_NODE = [("run", "min_ms"), ("open", "load_ms"), ("first run, which plans", "first_run_ms")]
NODES = 100
TURNS = 7


def bench(linnet, contents, seconds):
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(contents)
        file.flush()
        command = [linnet, "bench", file.name, "--threads", "1", "--seconds", str(seconds), "--json", "--no-table"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr or done.stdout)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--linnet", default=str(ROOT / "build/release/linnet"))
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    options = parser.parse_args()

    lines = ["| cost | " + " | ".join(f"{size} x" for size in SIZES) + " |", "|" + "---|" * (len(SIZES) + 1)]
    for name, make in PER_MAC:
        cells = []
        for size in SIZES:
            contents, macs = make(size)
            result = bench(options.linnet, contents, options.seconds)
            cells.append(f"{result['min_ms'] * 1e9 / macs:.1f}")
        lines.append(f"| {name}: ps a multiply-add | " + " | ".join(cells) + " |")
    # A process opens its model once: the best of several.
    results = [[bench(options.linnet, chain(NODES * size)[0], 0.1) for _ in range(TURNS)] for size in SIZES]
    for name, key in PER_NODE:
        cells = [f"{min(one[key] for one in turns) * 1e3 / (NODES * size):.2f}" for size, turns in zip(SIZES, results)]
        lines.append(f"| {NODES} nodes and more, {name}: us a node | " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    print(table)
    if options.write:
        page = ROOT / "docs/performance.md"
        before, rest = page.read_text().split(BEGIN, 1)
        page.write_text(before + BEGIN + "\n" + table + "\n" + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
