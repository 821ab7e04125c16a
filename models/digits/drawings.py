"""Digits as a hand draws them with a mouse: lines given point by point, drawn with a round pen.

They play no part in training; they ask whether a network trained on scanned digits also reads drawn ones.
"""
import numpy as np

from digits import distance_to

# Two hands per digit. A digit is its strokes; a stroke is points "x y" in percent of a square, y downward, joined by
# smooth curves; a point written twice is a corner.
HANDS = {
    0: ["52 8, 28 22, 20 52, 30 84, 52 94, 74 82, 80 48, 70 18, 50 8",
        "60 10, 38 12, 22 40, 24 74, 46 92, 70 84, 80 56, 76 26, 56 8, 48 12"],
    1: ["50 8, 50 92",
        "32 28, 54 8, 54 8, 52 92"],
    2: ["22 30, 32 10, 60 8, 74 28, 60 56, 22 92, 22 92, 80 90",
        "26 22, 50 8, 72 22, 66 48, 24 90, 24 90, 48 84, 78 92"],
    3: ["26 16, 50 8, 72 22, 64 42, 44 48, 44 48, 70 54, 76 76, 52 94, 22 84",
        "24 10, 74 10, 74 10, 46 42, 46 42, 72 54, 74 80, 48 94, 24 84"],
    4: ["60 8, 20 64, 20 64, 82 64 | 62 36, 62 94",
        "28 8, 24 50, 24 50, 76 48 | 70 10, 68 94"],
    5: ["74 10, 32 10, 32 10, 28 46, 28 46, 56 42, 76 62, 66 88, 40 94, 22 84",
        "34 10, 32 48, 32 48, 60 44, 74 66, 58 92, 26 88 | 34 10, 76 12"],
    6: ["64 8, 38 30, 26 66, 40 92, 66 86, 72 66, 54 52, 30 64",
        "70 14, 46 16, 26 50, 28 82, 52 94, 74 76, 62 56, 40 58, 28 74"],
    7: ["22 12, 78 12, 78 12, 44 92",
        "24 14, 76 10, 76 10, 52 50, 42 94 | 32 52, 68 48"],
    8: ["70 18, 48 8, 30 24, 48 46, 70 68, 52 94, 28 76, 46 50, 68 30, 70 18",
        "50 48, 30 32, 48 10, 70 28, 50 48, 28 72, 50 94, 74 72, 50 48"],
    9: ["72 26, 50 8, 28 26, 44 48, 72 28, 72 28, 70 60, 62 94",
        "74 22, 46 10, 28 34, 50 50, 72 30, 74 20, 74 20, 72 66, 54 92, 30 84"],
}


def curve(stroke, steps=12):
    """Points (n, 2) along the Catmull-Rom curve through a stroke's points, in [0, 1]."""
    p = np.array([point.split() for point in stroke.split(",")], float) / 100
    p = np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3)
              for a, b, c, d in zip(p, p[1:], p[2:], p[3:])]
    return np.concatenate(pieces + [p[-1:]])


def pen(strokes, size, width):
    """Strokes (points in [0, 1] x [0, 1]) drawn with a round pen `width` pixels wide: (size, size), white on black."""
    y, x = np.mgrid[:size, :size] + 0.5
    nearest = np.min([distance_to(stroke * size, y, x) for stroke in strokes], 0)
    return np.clip(width / 2 - nearest + 0.5, 0, 1)


def draw(digit, hand, random, size):
    """One drawing of a digit, (size, size): its hand's strokes, unsteady, placed, sized and slanted at random."""
    height, slant = random.uniform(0.5, 0.85), random.uniform(-0.2, 0.2)
    turn, stretch = random.uniform(-0.2, 0.2), random.uniform(0.85, 1.15)
    cos, sin = np.cos(turn), np.sin(turn)
    shape = height * np.array([[stretch, slant], [0, 1]]) @ [[cos, -sin], [sin, cos]]
    centre = 0.5 + (1 - height) / 2 * random.uniform(-0.6, 0.6, 2)
    strokes = []
    for stroke in HANDS[digit][hand].split("|"):
        points = curve(stroke)
        unsteady = random.normal(0, 0.02, (len(points) // 6 + 2, 2))
        at = np.linspace(0, len(unsteady) - 1, len(points))
        points += np.stack([np.interp(at, np.arange(len(unsteady)), unsteady[:, i]) for i in (0, 1)], 1)
        strokes.append((points - 0.5) @ shape.T + centre)
    return pen(strokes, size, random.uniform(0.04, 0.1) * size)
