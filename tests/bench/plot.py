"""One picture of a run: everything as a multiple of what Dovecot's imapc does, on a logarithmic scale."""

import math
from xml.sax.saxutils import escape

_ROW, _TOP, _LEFT, _PANEL, _GAP, _RIGHT = 26, 92, 300, 380, 50, 70
_INK, _FAINT, _GRID = "#1f2933", "#66788a", "#e4e9ee"
_POPGATE, _CHEAP, _RAW, _RELAY = "#2f6fb0", "#3a9a78", "#c2571a", "#8a63a8"
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class _Scale:
    """A panel's: where a multiple lies."""

    def __init__(self, left, values):
        low, high = min([0.5, *values]), max([10, *values])
        self.left, self.low, self.high = left, math.log(low * 0.9), math.log(high * 1.6)
        self.ticks = [tick for tick in _TICKS if low <= tick <= high * 1.3]
        if len(self.ticks) > 8:
            self.ticks = [tick for tick in self.ticks if math.log10(tick) % 1 == 0]

    def __call__(self, value):
        return self.left + _PANEL * (math.log(value) - self.low) / (self.high - self.low)


def _text(x, y, words, *, size=12, anchor="start", colour=_INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def _times(value):
    return f"{value:.0f}×" if value >= 10 else f"{value:.1f}×" if value >= 0.95 else f"{value:.2f}×"


def _multiples(scenario):
    """(speed, cost) of a scenario against the peer; each {contender: (median, least, greatest)}, more is better."""
    ratios, medians = scenario["ratios"]["peer"], scenario["medians"]
    speed, cost = {}, {}
    if "rate" in ratios:
        speed["popgate"] = ratios["rate"]
        for other in ("raw", "relay"):
            if other in medians:
                speed[other] = [medians[other]["rate"] / medians["peer"]["rate"]] * 3
    for metric in ("cpu", "memory"):
        if metric in ratios and all(ratios[metric]):
            middle, least, greatest = ratios[metric]
            cost["popgate"] = [1 / middle, 1 / greatest, 1 / least]
            if metric == "cpu" and medians.get("relay", {}).get("cpu"):
                cost["relay"] = [medians["peer"]["cpu"] / medians["relay"]["cpu"]] * 3
    return speed, cost


def plot(data):
    """SVG. Scenarios that have nothing to compare with are left out."""
    rows = [(each, *_multiples(each)) for each in data["scenarios"]]
    rows = [row for row in rows if row[1] or row[2]]
    bottom = _TOP + _ROW * len(rows)
    width, height = _LEFT + 2 * _PANEL + _GAP + _RIGHT, bottom + 60
    panels = [(1, _LEFT, "Speed: times imapc's", _POPGATE),
              (2, _LEFT + _PANEL + _GAP, "CPU, or memory of a session: times less than imapc's", _CHEAP)]
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="DejaVu Sans, Verdana, sans-serif">', f'<rect width="{width}" height="{height}" fill="white"/>',
             _text(20, 32, "popgate beside Dovecot imapc", size=18, weight="bold"),
             _text(20, 52, "In turn on one machine; bars are medians, whiskers the least and the greatest of all rounds. "
                           "To the right is better.", colour=_FAINT)]
    for number, (scenario, _, _) in enumerate(rows):
        if number % 2 == 0:
            drawn.append(f'<rect x="12" y="{_TOP + _ROW * number}" width="{width - 24}" height="{_ROW}" fill="#f6f8fa"/>')
        drawn.append(_text(_LEFT - 14, _TOP + _ROW * (number + 0.5) + 4, scenario["title"], anchor="end"))
    for column, left, title, colour in panels:
        scale = _Scale(left, [value for row in rows for multiple in row[column].values() for value in multiple])
        drawn.append(_text(left, _TOP - 14, title, size=13, weight="bold"))
        for tick in scale.ticks:
            drawn.append(f'<line x1="{scale(tick):.1f}" x2="{scale(tick):.1f}" y1="{_TOP}" y2="{bottom}" '
                         f'stroke="{_FAINT if tick == 1 else _GRID}" stroke-width="{1.2 if tick == 1 else 1}"/>')
            drawn.append(_text(scale(tick), bottom + 18, f"{tick:g}", size=11, anchor="middle", colour=_FAINT))
        for number, row in enumerate(rows):
            drawn += _bar(scale, _TOP + _ROW * (number + 0.5), row[column], colour)
    drawn += _legend(bottom + 44)
    return "\n".join(drawn) + "\n</svg>\n"


def _bar(scale, y, multiples, colour):
    if "popgate" not in multiples:
        return []
    middle, least, greatest = multiples["popgate"]
    left, right = sorted((scale(1), scale(middle)))
    yield f'<rect x="{left:.1f}" y="{y - 7}" width="{max(1, right - left):.1f}" height="14" fill="{colour}" rx="1.5"/>'
    if greatest > least:
        yield (f'<path d="M{scale(least):.1f} {y}H{scale(greatest):.1f}M{scale(least):.1f} {y - 4}v8'
               f'M{scale(greatest):.1f} {y - 4}v8" stroke="{_INK}" stroke-width="1.2" fill="none"/>')
    marks = [scale(multiple[0]) for name, multiple in multiples.items() if name != "popgate"]
    label = max(right, scale(greatest)) + 6
    while any(label - 8 < mark < label + 42 for mark in marks):
        label = max(mark for mark in marks if label - 8 < mark < label + 42) + 9
    yield _text(label, y + 4, _times(middle), size=11, weight="bold")
    for name, mark in (("relay", _tick), ("raw", _diamond)):
        if name in multiples:
            yield mark(scale(multiples[name][0]), y)


def _diamond(x, y):
    return f'<path d="M{x:.1f} {y - 6}l5 6l-5 6l-5 -6z" fill="{_RAW}" stroke="white" stroke-width="1"/>'


def _tick(x, y):
    return f'<rect x="{x - 2:.1f}" y="{y - 9}" width="4" height="18" fill="{_RELAY}" stroke="white" stroke-width="1"/>'


def _legend(y):
    x = 20
    for mark, words in ((f'<rect x="{x}" y="{y - 10}" width="22" height="12" fill="{_POPGATE}"/>', "popgate"),
                        (_diamond(x + 110, y - 4), "raw IMAP client, no gateway"),
                        (_tick(x + 330, y - 4), "HAProxy before the store's own POP3")):
        yield mark
        yield _text(x + (30 if words == "popgate" else 122 if words.startswith("raw") else 340), y, words, colour=_FAINT)
