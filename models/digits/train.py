"""Retrains the digit network with five seeds and writes all that lies in this folder: the median model and its tests.

    python3 train.py            about 8 minutes of one core; prints the accuracy of every seed
"""
import collections
import copy
import pathlib

import numpy as np
import onnx
import onnx.numpy_helper
import PIL.Image
import torch
import torch.nn.functional as F
from torch import nn

import digits
import drawings
import network

HERE = pathlib.Path(__file__).resolve().parent
SEEDS = range(5)
METADATA = {
    "image.size": f"{digits.SIZE}x{digits.SIZE}",
    "image.channels": "1",
    "image.mean": "0",
    "image.std": "1",
    "labels": ",".join(str(digit) for digit in range(10)),
}
SCANNED = [0, 2, 3, 4, 6, 8, 9]                             # test images: the first held-out digit of each label
DRAWN = [(1, 1), (3, 0), (5, 1), (7, 0), (9, 0)]            # and drawings, as (digit, hand)


def drawn_digits(each=25):
    """Pictures (N, 1, SIZE, SIZE) of drawings in both hands, with labels."""
    random = np.random.default_rng(0)
    which = [(digit, hand) for digit in range(10) for hand in (0, 1) for _ in range(each)]
    large = np.stack([drawings.draw(digit, hand, random, 4 * digits.SIZE) for digit, hand in which])
    return F.avg_pool2d(torch.tensor(large, dtype=torch.float32)[:, None], 4), torch.tensor(which)[:, 0]


def tidy_names(graph):
    """Renames what the exporter numbered: nodes and their outputs become conv1, relu1 ..., weights conv1.weight ..."""
    names, count = {"probabilities": "probabilities"}, collections.Counter()
    weights = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        count[node.op_type] += 1
        node.name = f"{node.op_type.lower()}{count[node.op_type]}"
        names.setdefault(node.output[0], node.name)
        names.update({name: f"{node.name}.{role}" for name, role in zip(node.input[1:], ("weight", "bias"))
                      if name in weights})
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[0] = names[node.output[0]]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]


def export(net, path):
    model = nn.Sequential(net, nn.Softmax(1)).eval()     # the exporter leaves every layer in the mode of the outermost
    torch.onnx.export(model, torch.zeros(1, 1, digits.SIZE, digits.SIZE), path, opset_version=17,
                      input_names=["image"], output_names=["probabilities"],
                      dynamic_axes={"image": {0: "N"}, "probabilities": {0: "N"}})
    model = onnx.load(path)
    model.graph.name = "digits"
    tidy_names(model.graph)
    model.doc_string = "Handwritten digits, white on black in [0, 1], to the probability of each digit 0 to 9."
    onnx.helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def save_picture(picture, path):
    PIL.Image.fromarray(np.round(np.asarray(picture) * 255).astype(np.uint8)).save(path, optimize=True)


def write_images(ink, label, folder):
    folder.mkdir(exist_ok=True)
    for digit in SCANNED:
        first = ink[label == digit][:1]
        save_picture(digits.plain(first, 4 * digits.SIZE)[0, 0], folder / f"{digit}_scanned.png")
    random = np.random.default_rng(1)
    for digit, hand in DRAWN:
        save_picture(drawings.draw(digit, hand, random, 200), folder / f"{digit}_drawn.png")


@torch.no_grad()
def write_golden(net, pictures, folder):
    """Inputs and outputs as the tests of ONNX lay them out; the outputs are computed in double precision."""
    folder.mkdir(exist_ok=True)
    output = copy.deepcopy(net).double()(pictures.double()).softmax(1).float()
    for name, tensor, file in [("image", pictures, "input_0.pb"), ("probabilities", output, "output_0.pb")]:
        (folder / file).write_bytes(onnx.numpy_helper.from_array(tensor.numpy(), name).SerializeToString())


def main():
    torch.set_num_threads(1)
    (ink, label), (held_ink, held_label) = digits.load()
    held, (drawn, drawn_label) = digits.plain(held_ink), drawn_digits()
    print(f"{len(label)} digits to train on, {len(held_label)} held out, {len(drawn_label)} drawings")
    trained = []
    for seed in SEEDS:
        net = network.train(ink, label, seed)
        score = network.accuracy(net, held, held_label)
        trained.append((score, seed, net))
        on_drawings = network.accuracy(net, drawn, drawn_label)
        print(f"seed {seed}: held out {score:.2%}, drawings {on_drawings:.2%}", flush=True)
    score, seed, net = sorted(trained, key=lambda entry: entry[:2])[len(SEEDS) // 2]
    print(f"median {score:.2%}: seed {seed}, {sum(p.numel() for p in net.parameters())} parameters")

    export(net, str(HERE / "digits.onnx"))
    (HERE / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    write_images(held_ink, held_label, HERE / "images")
    write_golden(net, held[:8], HERE / "test_data_set_0")


if __name__ == "__main__":
    main()
