"""The chart of a soak, as one SVG."""

from html import escape

from flat import MIB, thinned

PANEL_WIDTH, PANEL_HEIGHT = 430, 150
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 26, 22
GAP, HEAD = 18, 44
COLUMNS = 2
POINTS = 140
STYLE = """
text{font:11px system-ui,sans-serif;fill:#3d4653}.t{font-weight:600;font-size:12px}.h{font-size:14px;font-weight:600}
.g{stroke:#dfe3e8}.r{stroke:#b9a2d8}.w{fill:#eef0f3}.bg{fill:#fff}path{fill:none;stroke-width:1.4}
.c0{stroke:#2563c9}.c1{stroke:#c2570c}.c2{stroke:#28794a}.f0{fill:#2563c9}.f1{fill:#c2570c}.f2{fill:#28794a}
@media(prefers-color-scheme:dark){text{fill:#c6ccd6}.g{stroke:#353c47}.r{stroke:#6b5a86}.w{fill:#20252d}.bg{fill:#15191f}
.c0{stroke:#74a7f5}.c1{stroke:#f0a060}.c2{stroke:#74c796}.f0{fill:#74a7f5}.f1{fill:#f0a060}.f2{fill:#74c796}}
"""


def nice_top(value):
    """A round number that is not less, with which four parts are round too."""
    if value <= 0:
        return 1
    size = 10 ** (len(str(int(value))) - 1) if value >= 1 else 0.01
    while True:
        for factor in (1, 2, 4, 6, 8, 10):
            if factor * size >= value:
                return factor * size
        size *= 10


def number(value):
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


class Panel:
    def __init__(self, title, unit, *lines, top=None):
        self.title, self.unit, self.lines, self.top = title, unit, lines, top

    def draw(self, samples, restarts, x, y):
        end = samples[-1]["at"]
        across, down = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
        drawn = [(name, self.points(samples, read, scale)) for name, read, scale in self.lines]
        most = max((value for _, parts in drawn for part in parts for _, value in part), default=1)
        top = nice_top(min(most, self.top) if self.top else most)
        left, base = x + LEFT, y + PANEL_HEIGHT - BOTTOM

        def place(at, value):
            return f"{left + at / end * across:.1f} {base - min(value, top * 1.02) / top * down:.1f}"

        out = [f'<rect class="w" x="{left}" y="{y + TOP}" width="{across / 4:.1f}" height="{down}"/>']
        for part in range(5):
            height = base - down * part / 4
            out.append(f'<path class="g" d="M{left} {height:.1f}h{across}"/>')
            if part % 2 == 0:
                out.append(
                    f'<text x="{left - 5}" y="{height + 4:.1f}" text-anchor="end">{number(top * part / 4)}</text>'
                )
        for at in restarts:
            out.append(f'<path class="r" d="M{left + at / end * across:.1f} {base}v5"/>')
        for part in range(5):
            minute = number(end * part / 4 / 60)
            at = left + across * part / 4
            out.append(f'<text x="{at:.1f}" y="{base + 17}" text-anchor="middle">{minute}</text>')
        for n, (_, parts) in enumerate(drawn):
            for part in parts:
                path = "L".join(place(at, value) for at, value in part)
                out.append(f'<path class="c{n}" d="M{path}"/>')
        title = f"{self.title}, {self.unit}" if self.unit else self.title
        out.append(f'<text class="t" x="{x}" y="{y + 14}">{escape(title)}</text>')
        names = "".join(f'<tspan class="f{n}" dx="10">{escape(name)}</tspan>' for n, (name, _) in enumerate(drawn))
        out.append(f'<text x="{x + PANEL_WIDTH - RIGHT}" y="{y + 14}" text-anchor="end">{names}</text>')
        return out

    @staticmethod
    def points(samples, read, scale):
        """Lines, broken where there is nothing for a while, such as while a server is restarted."""
        found = []
        for sample in samples:
            value = read(sample)
            if value is not None:
                found.append((sample["at"], value / scale))
        found = thinned(found, POINTS)
        longest = 3 * samples[-1]["at"] / min(POINTS, max(1, len(samples)))
        parts = []
        for point in found:
            if not parts or point[0] - parts[-1][-1][0] > longest:
                parts.append([])
            parts[-1].append(point)
        return parts


def draw(panels, samples, restarts, heading):
    rows = -(-len(panels) // COLUMNS)
    width = COLUMNS * PANEL_WIDTH + (COLUMNS + 1) * GAP
    height = HEAD + rows * (PANEL_HEIGHT + GAP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(heading)}</title><style>{STYLE}</style>",
        f'<rect class="bg" width="{width}" height="{height}"/>',
        f'<text class="h" x="{GAP}" y="26">{escape(heading)}</text>',
    ]
    for n, panel in enumerate(panels):
        x = GAP + n % COLUMNS * (PANEL_WIDTH + GAP)
        y = HEAD + n // COLUMNS * (PANEL_HEIGHT + GAP)
        out += panel.draw(samples, restarts, x, y)
    return "\n".join([*out, "</svg>", ""])


def server_value(name, key):
    return lambda sample: (sample["servers"].get(name) or {}).get(key)


def panels(names, kept):
    def milliseconds(what, key):
        return lambda sample: sample[what][key]

    def total(column, is_kept):
        return lambda sample: sum(row[column] for name, row in sample["tables"].items() if (name in kept) == is_kept)

    servers = [(f"server {name}", name) for name in names]
    return [
        Panel("Memory of the servers", "MiB", *((label, server_value(name, "memory"), MIB) for label, name in servers)),
        Panel(
            "Memory of PostgreSQL",
            "MiB",
            ("private", lambda sample: sample["postgresMemory"], MIB),
            ("shared", lambda sample: sample["postgresShared"], MIB),
        ),
        Panel("Open files of the servers", "", *((label, server_value(name, "files"), 1) for label, name in servers)),
        Panel("Sessions", "", ("stored", lambda sample: sample["sessions"], 1),
              *((f"in memory of {name}", server_value(name, "sessions"), 1) for name in names)),
        Panel("Tables with indexes", "MiB", ("rows deleted", total(0, False), MIB), ("rows kept", total(0, True), MIB)),
        Panel("Dead rows", "", ("all tables", lambda sample: sum(row[2] for row in sample["tables"].values()), 1)),
        Panel("Commands", "ms", ("p50", milliseconds("commands", "p50"), 0.001),
              ("p99", milliseconds("commands", "p99"), 0.001)),
        Panel("From a command to its viewers", "ms", ("p50", milliseconds("lag", "p50"), 0.001),
              ("p99", milliseconds("lag", "p99"), 0.001)),
    ]  # fmt: skip
