"""Cost over size on two logarithmic axes: the exponent of a power law, and an SVG; nothing is measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 440, 70, 30, 190, 50
_COLOURS = ("#888888", "#1f5fbf", "#b3541e", "#2e7d32")


def exponent(series: Mapping[int, float]) -> float:
    """The power of size that a cost goes with, from the smallest to the largest; 0 for a single one."""
    if len(series) < 2:
        return 0.0
    small, large = min(series), max(series)
    return math.log(series[large] / series[small]) / math.log(large / small)


def svg(points: Mapping[str, Mapping[int, float]]) -> str:
    """The plot, with the exponent of each series beside its name."""
    sizes = sorted({size for series in points.values() for size in series})
    costs = [cost for series in points.values() for cost in series.values()]
    low, high = (math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs))))
    left, right = math.log10(sizes[0]), math.log10(sizes[-1])

    def across(size: float) -> float:
        share = (math.log10(size) - left) / ((right - left) or 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def down(cost: float) -> float:
        share = (high - math.log10(cost)) / ((high - low) or 1)
        return _TOP + share * (_HEIGHT - _TOP - _BOTTOM)

    bottom, edge = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    space = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    parts = [
        f'<svg {space} font-family="sans-serif" font-size="13">',
        "<title>Seconds over size, both logarithmic</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{edge}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    for size in sizes:
        x = across(size)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{size:,}</text>')
    for (name, series), colour in zip(points.items(), _COLOURS, strict=False):
        if not series:
            continue
        places = [(across(size), down(series[size])) for size in sorted(series)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        x, y = places[-1]
        told = f"{name}: n^{exponent(series):.2f}"
        parts.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" fill="{colour}">{told}</text>')
    return "\n".join([*parts, "</svg>", ""])
