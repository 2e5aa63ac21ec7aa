"""Gradient-boosted trees in plain numpy: enough to show what a thumbnail gives away.

Histogram trees on quantile bins, one tree a class and round, second-order leaves as in XGBoost
(Chen & Guestrin 2016). Seeded; the number of rounds is picked on a second set, never on a test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ml.metrics import Array, Labels

Codes = npt.NDArray[np.int64]

BINS: Final = 32
DEPTH: Final = 4
RATE: Final = 0.15
RIDGE: Final = 1.0
MIN_HESSIAN: Final = 2.0
SHARE_OF_FEATURES: Final = 0.5
STALE_ROUNDS: Final = 15


@dataclass(slots=True)
class Tree:
    """A full binary tree of ``DEPTH`` questions; an unasked question sends everything left."""

    features: Codes
    bins: Codes
    leaves: Array

    def __call__(self, codes: Codes) -> Array:
        node = np.zeros(len(codes), dtype=np.int64)
        rows = np.arange(len(codes))
        for level in range(DEPTH):
            question = 2**level - 1 + node
            right = codes[rows, self.features[question]] > self.bins[question]
            node = 2 * node + right
        values: Array = self.leaves[node]
        return values


@dataclass(slots=True)
class BoostedTrees:
    """A classifier over any number of classes."""

    classes: int
    seed: int = 1
    rounds: int = 150
    edges: Array = field(default_factory=lambda: np.zeros((0, 0)))
    start: Array = field(default_factory=lambda: np.zeros(0))
    trees: list[list[Tree]] = field(default_factory=list)

    def fit(self, x: Array, y: Labels, watched_x: Array, watched_y: Labels) -> BoostedTrees:
        """Learn, and keep as many rounds as served the watched rows best.

        :param x: (n, features).
        :param y: (n,) class numbers.
        """
        shares = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
        self.edges = np.quantile(x, shares, axis=0).T
        codes, watched = self._encode(x), self._encode(watched_x)
        counts = np.bincount(y, minlength=self.classes) + 1.0
        self.start = np.log(counts / counts.sum())
        truth = np.eye(self.classes)[y]
        rng = np.random.default_rng(self.seed)
        scores, seen = self._first(len(codes)), self._first(len(watched))
        best, kept = np.inf, 0
        for number in range(self.rounds):
            chances = softmax(scores)
            grown = []
            for label in range(self.classes):
                slope = chances[:, label] - truth[:, label]
                bend = np.maximum(chances[:, label] * (1.0 - chances[:, label]), 1e-6)
                tree = _grow(codes, slope, bend, rng)
                grown.append(tree)
                scores[:, label] += tree(codes)
                seen[:, label] += tree(watched)
            self.trees.append(grown)
            loss = -np.log(np.maximum(softmax(seen)[np.arange(len(seen)), watched_y], 1e-9)).mean()
            if loss < best:
                best, kept = float(loss), number + 1
            elif number + 1 - kept >= STALE_ROUNDS:
                break
        del self.trees[kept:]
        return self

    def predict(self, x: Array) -> Array:
        """Probabilities, (n, classes)."""
        codes = self._encode(x)
        scores = self._first(len(codes))
        for grown in self.trees:
            for label, tree in enumerate(grown):
                scores[:, label] += tree(codes)
        return softmax(scores)

    def _first(self, count: int) -> Array:
        return np.tile(self.start, (count, 1))

    def _encode(self, x: Array) -> Codes:
        columns = [
            np.searchsorted(self.edges[number], x[:, number]) for number in range(x.shape[1])
        ]
        return np.stack(columns, axis=1).astype(np.int64)


def softmax(scores: Array) -> Array:
    """Probabilities of (n, classes) scores."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances: Array = powers / powers.sum(axis=1, keepdims=True)
    return chances


def _grow(codes: Codes, slope: Array, bend: Array, rng: np.random.Generator) -> Tree:
    """One tree, all nodes of a level at once, on a random half of the features."""
    wanted = max(1, round(codes.shape[1] * SHARE_OF_FEATURES))
    chosen = np.sort(rng.permutation(codes.shape[1])[:wanted])
    flat = codes[:, chosen] + np.arange(wanted) * BINS
    width = wanted * BINS
    slopes, bends = np.repeat(slope, wanted), np.repeat(bend, wanted)
    node = np.zeros(len(codes), dtype=np.int64)
    features = np.zeros(2**DEPTH - 1, dtype=np.int64)
    bins = np.full(2**DEPTH - 1, BINS, dtype=np.int64)
    rows = np.arange(len(codes))
    for level in range(DEPTH):
        nodes = 2**level
        index = (node[:, np.newaxis] * width + flat).ravel()
        shape = (nodes, wanted, BINS)
        left_slope = np.bincount(index, slopes, nodes * width).reshape(shape).cumsum(axis=2)
        left_bend = np.bincount(index, bends, nodes * width).reshape(shape).cumsum(axis=2)
        all_slope, all_bend = left_slope[:, :1, -1:], left_bend[:, :1, -1:]
        gain = (
            left_slope**2 / (left_bend + RIDGE)
            + (all_slope - left_slope) ** 2 / (all_bend - left_bend + RIDGE)
            - all_slope**2 / (all_bend + RIDGE)
        )
        thin = np.minimum(left_bend, all_bend - left_bend) < MIN_HESSIAN
        gain = np.where(thin, 0.0, gain).reshape(nodes, width)
        best = gain.argmax(axis=1)
        useful = gain[np.arange(nodes), best] > 1e-9
        first = nodes - 1
        features[first : first + nodes] = chosen[best // BINS]
        bins[first : first + nodes] = np.where(useful, best % BINS, BINS)
        asked = first + node
        node = 2 * node + (codes[rows, features[asked]] > bins[asked])
    leaves = 2**DEPTH
    total = np.bincount(node, slope, leaves)
    weight = np.bincount(node, bend, leaves)
    return Tree(features, bins, -RATE * total / (weight + RIDGE))
