"""The digit network: depthwise-separable convolutions over a 28 x 28 picture, and how it is trained."""
import math

import torch
import torch.nn.functional as F
from torch import nn

import digits

EPOCHS = 100
BATCH = 64
RATE = 4e-3


def convolution(c_in, c_out, kernel, stride=1, groups=1):
    return [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out),
            nn.ReLU()]


def separable(c_in, c_out, stride):
    return convolution(c_in, c_in, 3, stride, groups=c_in) + convolution(c_in, c_out, 1)


def network():
    return nn.Sequential(
        *convolution(1, 16, 3),     # 28 x 28
        *separable(16, 32, 2),      # 14 x 14
        *separable(32, 48, 1),
        *separable(48, 64, 2),      # 7 x 7
        *separable(64, 96, 1),
        *separable(96, 128, 2),     # 4 x 4
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def train(ink, label, seed, epochs=EPOCHS):
    """A network trained on variations of the given digits for a fixed number of epochs; nothing is held back."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    field, drawable = digits.distance_fields(ink, label)
    net = network()
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([dict(params=decayed, weight_decay=0.02), dict(params=others, weight_decay=0)], RATE)
    steps = epochs * math.ceil(len(ink) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    for _ in range(epochs):
        for i in torch.randperm(len(ink), generator=generator).split(BATCH):
            loss = F.cross_entropy(net(digits.vary(ink[i], field[i], drawable[i], generator)), label[i],
                                   label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def accuracy(net, pictures, label):
    return (net(pictures).argmax(1) == label).float().mean().item()
