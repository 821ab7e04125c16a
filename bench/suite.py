#!/usr/bin/env python3
"""Runs the benchmark suite, or the models of a folder, beside ONNX Runtime and prints tables; with --write also into
docs/performance.md.

    bench/make_models.py /tmp/models          # once; needs python3-torch, python3-torchvision, python3-onnx
    bench/suite.py /tmp/models [--peer path/to/libonnxruntime.so] [--threads 1 2] [--seconds 2] [--only NAME...] [--write]
    bench/suite.py --folder DIR [--dim SYMBOL=N...] [--peer ...]      every *.onnx in it, NAME/model.onnx is called NAME

`make bench` does all of the first. Speed: each row is one `linnet bench --json --peer` for each number of threads, same process, same
inputs, interleaved; ratio = the peer's median / ours; floor: the least the steps could take, as `linnet bench` says it, and what part of
our median that is. Start and memory: each row is one bench/startup.c, a fresh process a turn, turns alternating, medians. The models of
a folder run on the first test data beside them (test_data_set_0/input_*.pb), where there is some. --section NAME writes the tables
of another machine.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/performance.md"

# name, model file, symbolic dimensions
SUITE = [
    ("mobilenet_v2", "mobilenet_v2", []),
    ("mobilenet_v3_small", "mobilenet_v3_small", []),
    ("efficientnet_b0", "efficientnet_b0", []),
    ("squeezenet1_1", "squeezenet1_1", []),
    ("resnet50", "resnet50", []),
    ("lraspp_mv3", "lraspp_mv3", []),
    ("unet_256", "unet_256", []),
    ("kws_dscnn", "kws_dscnn", []),
    ("bert_base, seq 8", "bert_base", ["batch=1", "seq=8"]),
    ("bert_base, seq 32", "bert_base", ["batch=1", "seq=32"]),
    ("bert_base, seq 128", "bert_base", ["batch=1", "seq=128"]),
    ("bert_base, seq 384", "bert_base", ["batch=1", "seq=384"]),
    ("bert_tiny, seq 16", "bert_tiny", ["batch=1", "seq=16"]),
    ("bert_tiny, seq 128", "bert_tiny", ["batch=1", "seq=128"]),
    ("decoder, 1 token", "decoder", ["seq=1", "past=128"]),
    ("decoder, 32 tokens", "decoder", ["seq=32", "past=0"]),
    ("text_lstm, 1 token", "text_lstm", ["seq=1"]),
    ("text_lstm, 16 tokens", "text_lstm", ["seq=16"]),
    ("text_gru, 1 token", "text_gru", ["seq=1"]),
    ("text_gru, 16 tokens", "text_gru", ["seq=16"]),
    ("mlp, batch 1", "mlp", ["batch=1"]),
    ("mlp, batch 256", "mlp", ["batch=256"]),
    ("trees, batch 1", "trees", ["batch=1"]),
    ("trees, batch 256", "trees", ["batch=256"]),
    ("mobilenet_v2_int8", "mobilenet_v2_int8", []),
    ("resnet50_int8", "resnet50_int8", []),
    ("bert_base_int8, seq 8", "bert_base_int8", ["batch=1", "seq=8"]),
    ("bert_base_int8, seq 32", "bert_base_int8", ["batch=1", "seq=32"]),
    ("bert_base_int8, seq 128", "bert_base_int8", ["batch=1", "seq=128"]),
    ("bert_base_int8, seq 384", "bert_base_int8", ["batch=1", "seq=384"]),
    ("bert_tiny_int8, seq 16", "bert_tiny_int8", ["batch=1", "seq=16"]),
    ("bert_tiny_int8, seq 128", "bert_tiny_int8", ["batch=1", "seq=128"]),
    ("decoder_int8, 1 token", "decoder_int8", ["seq=1", "past=128"]),
    ("decoder_int8, 32 tokens", "decoder_int8", ["seq=32", "past=0"]),
    ("text_lstm_int8, 1 token", "text_lstm_int8", ["seq=1"]),
    ("text_lstm_int8, 16 tokens", "text_lstm_int8", ["seq=16"]),
]


class Model:
    """A row: its file, and how `linnet bench` and bench/startup.c are told its inputs."""

    def __init__(self, name, path, bench, start):
        self.name, self.path, self.bench, self.start = name, path, bench, start


def of_suite(options, name, file, dims):
    return Model(name, options.models / f"{file}.onnx", [word for dim in dims for word in ("--dim", dim)], dims)


def of_folder(options, path, scratch):
    name = path.parent if path.stem == "model" and path.parent != options.folder else path.with_suffix("")
    bench, start = [word for dim in options.dim for word in ("--dim", dim)], list(options.dim)
    alone = len(list(path.parent.glob("*.onnx"))) == 1
    for file in sorted(path.parent.glob("test_data_set_0/input_*.pb")) if alone else []:
        title, dims, numbers = read_tensor(file.read_bytes())
        raw = pathlib.Path(tempfile.mkstemp(dir=scratch)[1])
        raw.write_bytes(numbers)
        bench += ["--input", f"{title}={file}"]
        start.append(f"{'x'.join(map(str, dims))}@{raw}@{title}")
    return Model(str(name.relative_to(options.folder)), path, bench, start)


# ---------------------------------------------------------------- a tensor's file: TensorProto of onnx.proto

def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def varints(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def read_tensor(data):
    """Its name, its dimensions, and its numbers as they lie in memory."""
    name, element, dims, raw, numbers, at = "", 0, [], b"", [], 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = data[at:at + size], at + size
        listed = [value] if key & 7 == 0 else value
        if key >> 3 == 1:
            dims += listed if key & 7 == 0 else varints(value)
        elif key >> 3 == 2:
            element = value
        elif key >> 3 == 8:
            name = value.decode()
        elif key >> 3 in (4, 9, 10):                 # floats, raw, doubles
            raw += value
        elif key >> 3 in (5, 7, 11):                 # integers of all sizes
            numbers += listed if key & 7 == 0 else varints(value)
    size = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}[element]
    return name, dims, raw + b"".join((number & (1 << 8 * size) - 1).to_bytes(size, "little") for number in numbers)


# ---------------------------------------------------------------- rows

SPEED = ["ratio, {} thr", "ours ms", "peer ms", "floor ms", "of the limit"]


def speed_row(options, model):
    """Cells, and the largest difference."""
    cells, last = [model.name], None
    for threads in options.threads:
        command = [options.linnet, "bench", str(model.path), "--threads", str(threads), "--seconds", str(options.seconds), "--json"]
        command += model.bench + (["--peer", options.peer] if options.peer else [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            error = (done.stderr or done.stdout).strip().splitlines()[-1]
            cells += [error.replace(str(model.path.parent), "")[:60]] + [""] * (len(SPEED) - 1)
            continue
        result = json.loads(done.stdout)
        last = last or result
        peer, least = result.get("peer"), "" if result["floor_complete"] else "≥ "
        cells += [f"{result['ratio']:.2f}" if peer else "", ms(result["median_ms"]), ms(peer["median_ms"]) if peer else "",
                  least + ms(result["floor_ms"]), f"{least}{100 * result['floor_ms'] / result['median_ms']:.0f} %"]
    difference = last.get("max_rel_diff") if last else None
    return cells, f"{difference:.1e}" if difference is not None else "?" if last and last.get("peer") else ""


class Starter:
    """bench/startup.c, compiled for this run."""

    def __init__(self, options):
        self.folder = tempfile.TemporaryDirectory()
        self.program = pathlib.Path(self.folder.name) / "startup"
        self.library = pathlib.Path(options.linnet).resolve().parent / "liblinnet.so"
        self.why_not = None
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler or not self.library.exists():
            self.why_not = f"no start and memory: {'no C compiler' if not compiler else f'{self.library} is not built'}"
            return
        done = subprocess.run([compiler, "-O2", "-I", ROOT / "include", ROOT / "bench/startup.c", "-o", self.program, "-ldl"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.why_not = "no start and memory: bench/startup.c does not compile: " + done.stderr.strip().splitlines()[0]

    def measure(self, options, model):
        """Medians of ours and of the peer, or a sentence."""
        command = [self.program, self.library, options.peer or "-", model.path, str(max(options.threads)), str(options.turns)]
        done = subprocess.run(command + model.start, capture_output=True, text=True)
        if done.returncode != 0:
            return done.stderr.strip().splitlines()[-1][:60]
        result = json.loads(done.stdout)
        return result["ours"], result.get("peer")

    def row(self, options, model):
        result = self.measure(options, model)
        if isinstance(result, str):
            return [model.name, result] + [""] * 8
        ours, peer = result
        cells = [model.name]
        for key in ("load_ms", "start_ms", "peak_mb"):
            cells.append(ms(ours[key]))
            cells += [ms(peer[key]), self.ratio(key, ours, peer)] if peer else ["", ""]
        return cells

    def ratios(self, options, model):
        result = self.measure(options, model)
        if isinstance(result, str):
            return [result, "", ""]
        ours, peer = result
        return [self.ratio(key, ours, peer) if peer else "" for key in ("load_ms", "start_ms", "peak_mb")]

    @staticmethod
    def ratio(key, ours, peer):
        return f"{ours[key] / peer[key]:.2f}" if key == "peak_mb" else f"{peer[key] / ours[key]:.1f}"


def ms(value):
    return "0" if value < 1e-5 else f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def make_table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(row) + " |" for row in rows]


def means(head, rows):
    """Rows of geometric means of the columns that compare: of 8-bit models and of the others apart, where there are both."""
    kinds = {}
    for row in rows:
        kinds.setdefault("int8" if "_int8" in row[0] else "float32", []).append(row)
    out = []
    for kind, of_kind in sorted(kinds.items()):
        row = ["**geometric mean" + (f", {kind}**" if len(kinds) > 1 else "**")]
        for column, title in list(enumerate(head))[1:]:
            numbers = [float(cells[column]) for cells in of_kind if is_number(cells[column])] if compares(title) else []
            row.append(f"**{statistics.geometric_mean(numbers):.2f}**" if numbers else "")
        if any(row[1:]):
            out.append(row)
    return out


def compares(title):
    return "ratio" in title or "of the peer's" in title


def is_number(text):
    try:
        return float(text) > 0
    except ValueError:
        return False


def write(head, rows, mark, names, keep):
    """Replaces what is between the marks; `keep`: only the rows that are in `rows`, and of them what was measured."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    if begin not in PAGE.read_text():
        sys.exit(f"{PAGE.relative_to(ROOT)} has no section {begin}")
    before, rest = PAGE.read_text().split(begin, 1)
    inside, after = rest.split(end, 1)
    there = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in inside.strip().splitlines()[2:]] if keep else []
    kept = {}
    for row in there + rows:
        if len(row) == len(head):
            kept[row[0]] = [new or old for new, old in zip(row, kept.get(row[0], row))]
    rows = [kept[name] for name in names if name in kept]
    PAGE.write_text(before + begin + "\n" + "\n".join(make_table(head, rows + means(head, rows))) + "\n" + end + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, nargs="?", help="folder with the models of the suite")
    parser.add_argument("--folder", type=pathlib.Path, help="measure the models in this folder instead")
    parser.add_argument("--dim", action="append", default=[], help="SYMBOL=N: a dimension of a folder's models that no test data says")
    parser.add_argument("--peer", help="libonnxruntime.so; without it ours alone is measured")
    parser.add_argument("--linnet", default=str(ROOT / "build/release/linnet"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--turns", type=int, default=9, help="processes of each side, for start and memory")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--tables", nargs="+", choices=["speed", "start"], default=["speed", "start"])
    parser.add_argument("--list-models", action="store_true", help="print the names of the model files and end")
    parser.add_argument("--write", action="store_true", help="replace the tables in docs/performance.md; with --only, their rows")
    parser.add_argument("--section", default="", help="with --write: the tables of this machine's name, e.g. avx2")
    options = parser.parse_args()
    files = list(dict.fromkeys(model for _, model, _ in SUITE))
    if options.list_models:
        print("\n".join(files))
        return
    if not options.models and not options.folder:
        parser.error("the folder of the models is missing")

    def wanted(name):
        return not options.only or any(word in name for word in options.only)

    def show(cells):
        print("  ".join(cells), file=sys.stderr, flush=True)
        return cells

    def finish(mark, head, rows, names):
        print("\n".join(make_table(head, rows + means(head, rows))) + "\n")
        if options.write:
            write(head, rows, mark + (f"-{options.section}" if options.section else ""), names, bool(options.only))

    speed_head = ["model"] + [title.format(threads) for threads in options.threads for title in SPEED]
    starter = Starter(options) if "start" in options.tables else None
    if starter and starter.why_not:
        print(starter.why_not, file=sys.stderr)
        starter = None
    if options.folder:
        with tempfile.TemporaryDirectory() as scratch:
            models = [of_folder(options, path, scratch) for path in sorted(options.folder.rglob("*.onnx"))]
            rows = []
            for model in models:
                if wanted(model.name):
                    cells, difference = speed_row(options, model)
                    rows.append(show(cells + (starter.ratios(options, model) if starter else [""] * 3) + [difference]))
        head = speed_head + ["load, ratio", "start, ratio", "memory, of the peer's", "largest difference"]
        finish("folder", head, rows, [model.name for model in models])
        return
    if "speed" in options.tables:
        rows = []
        for row in SUITE:
            if wanted(row[0]):
                cells, difference = speed_row(options, of_suite(options, *row))
                rows.append(show(cells + [difference]))
        finish("suite", speed_head + ["largest difference"], rows, [row[0] for row in SUITE])
    if starter:
        head = ["model", "load ms", "peer", "ratio", "start to output ms", "peer", "ratio", "peak MB", "peer", "of the peer's"]
        dims = {}
        for _, model, each in SUITE:
            dims.setdefault(model, each)   # the smallest
        rows = [show(starter.row(options, of_suite(options, model, model, dims[model]))) for model in files if wanted(model)]
        finish("start", head, rows, files)


if __name__ == "__main__":
    main()
