#!/usr/bin/env python3
"""Start-up of prepared models beside ONNX Runtime's: prepared.py MODELS PEER [--build BUILD] [--turns N]

For MobileNetV2 in 8 bits and in float32 of MODELS (bench/make_models.py): a fresh process a turn that opens the .linnet file, runs it
once and ends, beside one that does so with ONNX Runtime (PEER: libonnxruntime.so) and its .ort file; turns alternate, medians.
Ours is once the runtime for the plans in these files alone, built here, and once the whole one of BUILD. Prints docs/mobile.md's table.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command):
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("peer", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--turns", type=int, default=25)
    options = parser.parse_args()
    small = ROOT / "build/prepared"
    run("cmake", "--preset", "mobile-host", "-B", small, "-DLINNET_STATIC_PLANS=ON", "-DLINNET_EXAMPLES=OFF",
        f"-DLINNET_OPS_CONFIG={ROOT}/tools/mobilenet.config")
    run("ninja", "-C", small, "--quiet", "linnet_shared")
    print("| model | threads | runtime | start to output ms | ONNX Runtime with .ort | ratio | peak MB | ONNX Runtime | of its |")
    print("|" + "---|" * 9)
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "startup")
        run(os.environ.get("CC", "cc"), "-O2", "-I", "include", "bench/startup.c", "-o", program, "-ldl")
        for name in ("mobilenet_v2_int8", "mobilenet_v2"):
            model = options.models.resolve() / (name + ".onnx")
            ours, theirs = os.path.join(folder, name + ".linnet"), os.path.join(folder, name + ".ort")
            run(options.build / "linnet", "convert", model, ours)
            run(program, "--ort", options.peer, model, theirs)
            for threads in (1, 2):
                for title, library in (("plans alone", small / "liblinnet.so"), ("whole", options.build / "liblinnet.so")):
                    result = json.loads(run(program, library, options.peer, f"{ours},{theirs}", threads, options.turns))
                    mine, peer = result["ours"], result["peer"]
                    print(f"| {name} | {threads} | {title} | {mine['start_ms']:.1f} | {peer['start_ms']:.1f} | "
                          f"{peer['start_ms'] / mine['start_ms']:.1f} | {mine['peak_mb']:.1f} | {peer['peak_mb']:.1f} | "
                          f"{mine['peak_mb'] / peer['peak_mb']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
