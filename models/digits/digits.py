"""The handwritten digits of scikit-learn: the split, how a digit becomes a network input, and the training variations.

A digit of the data set is 8 x 8 cells, each the share of ink in it. Everything here samples such a digit at arbitrary
points, so one mechanism gives the plain picture (for scoring), the pictures on disk and the distorted training ones:

    canvas pixel --affine, elastic--> point in cells, (0, 0) in the middle --+--> ink, bicubic between the 8 x 8 cells
                                                                            +--> distance to the centre line of the
                                                                                 stroke; a round pen of any width
                                                                                 draws along that line

The pen turns a coarse scan into what a mouse or a finger draws: sharp strokes of even width.
"""
import math

import numpy as np
import scipy.ndimage
import sklearn.datasets
import sklearn.model_selection
import torch
import torch.nn.functional as F

SIZE = 28           # pixels per side of the network's input
CELL = 2.5          # pixels per cell in the plain picture: the digit is 20 pixels high, with 4 pixels of margin
SPAN = 12           # cells per side of a distance field: the digit and two cells around it
FIELD = 72          # samples per side of a distance field
SPLIT_SEED = 20
HELD_OUT = 0.25


def load():
    """Digits as (N, 1, 8, 8) in [0, 1] with labels, split stratified by label: (train, labels), (held out, labels)."""
    digits = sklearn.datasets.load_digits()
    train, held = sklearn.model_selection.train_test_split(
        np.arange(len(digits.target)), test_size=HELD_OUT, stratify=digits.target, random_state=SPLIT_SEED)
    ink = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    label = torch.tensor(digits.target)
    return (ink[train], label[train]), (ink[held], label[held])


def canvas(count, size, pixels_per_cell):
    """The points of an undistorted picture in cells, (count, size, size, 2) as (x, y)."""
    axis = (torch.arange(size) - (size - 1) / 2) / pixels_per_cell
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1).expand(count, size, size, 2)


def ink_at(ink, points):
    return F.grid_sample(ink, points / 4, mode="bicubic", padding_mode="zeros", align_corners=False).clamp(0, 1)


def plain(ink, size=SIZE):
    """Undistorted pictures (N, 1, size, size) in [0, 1]; a larger size is the same picture with more pixels."""
    return ink_at(ink, canvas(len(ink), size, CELL * size / SIZE))


def thin(shape):
    """Centre lines of a stack of bitmaps (N, H, W), by the two-pass thinning of Zhang and Suen (CACM 27, 1984)."""
    shape = np.pad(shape.astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    around = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            p = [np.roll(shape, (-dy, -dx), (1, 2)) for dy, dx in around]
            n, e, s, w = p[0], p[2], p[4], p[6]
            neighbours = sum(p)
            rises = sum((p[i] == 0) & (p[(i + 1) % 8] == 1) for i in range(8))
            drop = (n * e * s == 0) & (e * s * w == 0) if first else (n * e * w == 0) & (n * s * w == 0)
            drop &= (shape == 1) & (neighbours >= 2) & (neighbours <= 6) & (rises == 1)
            shape[drop] = 0
            changed |= bool(drop.any())
    return shape[:, 1:-1, 1:-1].astype(bool)


def steps_from(start, lines):
    """Steps along the lines (N, H, W) from the start (a bitmap); a large number where no way leads."""
    steps = np.where(start, 0, lines.size)
    reached = start
    while True:
        further = scipy.ndimage.binary_dilation(reached, np.ones((1, 3, 3))) & lines
        if (further == reached).all():
            return steps
        steps[further & ~reached] = steps[reached].max() + 1
        reached = further


def distance_to(points, y, x):
    """Distance of each (y, x) to the polyline through the points (n, 2), given as (x, y)."""
    nearest = np.full(np.broadcast(y, x).shape, np.inf)
    for (ax, ay), (bx, by) in zip(points[:-1], points[1:]):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * dx, y - ay - along * dy))
    return nearest


def plain_sevens(lines):
    """Distances (N, H, W) to each seven's centre line redrawn as two straight strokes, without a crossbar.

    The way along the line from its top left end to its foot leaves out the crossbar; the corner is the top right of the
    box around that way, even where the way itself is round.
    """
    def least(cost):
        return lines & (cost == cost.min((1, 2), keepdims=True))
    y, x = np.mgrid[:lines.shape[1], :lines.shape[2]]
    top = least(np.where(lines, x + 1.5 * y, np.inf))
    from_top = steps_from(top, lines)
    foot = least(np.where(from_top < lines.size, x / 100 - y, np.inf))
    ways = least(from_top + steps_from(foot, lines))
    fields = []
    for bitmaps in zip(top, foot, ways):
        start, end, way = (np.argwhere(bitmap)[:, ::-1] for bitmap in bitmaps)
        corner = way[:, 0].max(), way[:, 1].min()
        fields.append(distance_to(np.array([start[0], corner, end[0]]), y, x))
    return np.array(fields)


def distance_fields(ink, label):
    """Distance in cells to the centre line of each digit's stroke, (N, 2, FIELD, FIELD) over SPAN x SPAN cells.

    The second field differs for sevens alone: most in the data set have a crossbar and a round top,
    and there they have neither.
    Also says (N) which digits may be redrawn: at 8 x 8 cells the loop of a small 0, 6, 8 or 9 can fill up, and a line
    drawn through the blob would be another digit.
    """
    cell = FIELD // SPAN
    shape = ink_at(ink, canvas(len(ink), FIELD, cell))[:, 0].numpy()
    shape += 3 * (shape - scipy.ndimage.gaussian_filter(shape, (0, cell, cell)))     # sharpened, to reopen loops
    lines = thin(shape > 0.5)
    loops = torch.tensor([scipy.ndimage.label(~line)[1] - 1 for line in lines])
    needs = torch.tensor([1, 0, 0, 0, 0, 0, 1, 0, 2, 1])
    traced = np.stack([scipy.ndimage.distance_transform_edt(~line) for line in lines])
    fields = np.stack([traced, traced], 1) / cell
    fields[label == 7, 1] = plain_sevens(lines[label == 7]) / cell
    return torch.tensor(fields, dtype=torch.float32), loops >= needs[label]


def uniform(count, low, high, generator):
    return low + (high - low) * torch.rand(count, 1, 1, generator=generator)


def distort(count, generator):
    """Sampling points of distorted pictures, and the pixels per cell (count, 1, 1) they were drawn at."""
    def u(low, high):
        return uniform(count, low, high, generator)
    scale = CELL * torch.exp(u(math.log(0.55), math.log(1.3)))
    stretch = torch.exp(u(-0.15, 0.3))
    angle, shear = u(-0.26, 0.26), u(-0.25, 0.25)
    room = (SIZE / 2 - 4 * scale).clamp(min=0) + 1.0        # the digit may leave the canvas by a pixel
    points = canvas(count, SIZE, 1.0)
    x, y = points[..., 0] - room * u(-1, 1), points[..., 1] - room * u(-1, 1)
    x, y = x * torch.cos(angle) + y * torch.sin(angle), y * torch.cos(angle) - x * torch.sin(angle)
    x = x + shear * y
    points = torch.stack([x / scale / stretch, y / scale * stretch], -1)
    bend = F.interpolate(torch.randn(count, 2, 5, 5, generator=generator), size=SIZE, mode="bicubic",
                         align_corners=True)
    return points + bend.permute(0, 2, 3, 1) * u(0, 0.45)[..., None], scale


def vary(ink, field, drawable, generator):
    """One training variation of each digit, (N, 1, SIZE, SIZE): half redrawn with a pen where drawable."""
    count = len(ink)

    def u(low, high):
        return uniform(count, low, high, generator)[:, None]
    points, scale = distort(count, generator)
    scanned = ink_at(ink, points)
    scanned = ((scanned - 0.5) * u(0.8, 2.5) + 0.5 + u(-0.15, 0.15)).clamp(0, 1) * (scanned > 0.02)
    field = torch.where(u(0, 1) < 0.5, field[:, :1], field[:, 1:])
    distance = F.grid_sample(field, points / (SPAN / 2), padding_mode="border", align_corners=False) * scale[:, None]
    drawn = ((u(0.5, 2.2) - distance) / u(0.7, 1.6) + 0.5).clamp(0, 1)
    picture = torch.where((u(0, 1) < 0.5) & drawable[:, None, None, None], drawn, scanned)
    picture = torch.where(u(0, 1) < 0.3, F.avg_pool2d(picture, 3, 1, 1), picture) * u(0.6, 1.0)
    return (picture + torch.randn(picture.shape, generator=generator) * u(0, 0.05)).clamp(0, 1)
