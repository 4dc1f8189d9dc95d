"""Whether a soak was flat: slopes by a robust fit, and their bounds."""

from statistics import median

MIB = 1024 * 1024
# Medians of so many intervals are compared with each other.
INTERVALS = 180
# A shorter soak does not say whether anything is flat: it takes ten minutes until the processes of PostgreSQL have
# filled their caches, and the first quarter has to be longer.
SHORTEST_SECONDS = 45 * 60
HOUR = 3600


def slope_per_hour(points):
    """The slope of Theil and Sen: the median of those between any two points. Bursts do not move it."""
    points = thinned(points)
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for n, earlier in enumerate(points)
        for later in points[n + 1 :]
        if later[0] > earlier[0]
    ]
    return median(slopes) * HOUR if slopes else 0.0


def thinned(points, intervals=INTERVALS):
    """The medians of as many intervals of equal length."""
    if len(points) <= intervals:
        return points
    first, last = points[0][0], points[-1][0]
    parts = {}
    for at, value in points:
        parts.setdefault(min(intervals - 1, int((at - first) / (last - first) * intervals)), []).append((at, value))
    return [(median(at for at, _ in part), median(value for _, value in part)) for part in parts.values()]


class Series:
    """Something measured, and by how much it may grow in an hour: a part of its median, or `least` if that is more."""

    def __init__(self, name, unit, scale, read, part, least):
        self.name, self.unit, self.scale, self.read, self.part, self.least = name, unit, scale, read, part, least

    def points(self, samples):
        found = []
        for sample in samples:
            value = self.read(sample)
            if value is not None:
                found.append((sample["at"], value / self.scale))
        return found

    def judge(self, samples):
        """Over the last three quarters; None without measurements."""
        points = self.points(samples)
        if not points:
            return None
        begin = samples[-1]["at"] / 4
        points = [point for point in points if point[0] >= begin]
        if len(points) < 3:
            return None
        middle = median(value for _, value in points)
        return Judgement(self, middle, slope_per_hour(points), max(self.part * middle, self.least))


class Judgement:
    def __init__(self, series, middle, slope, bound):
        self.series, self.middle, self.slope, self.bound = series, middle, slope, bound
        self.is_flat = slope <= bound

    def text(self, is_judged=True):
        unit = self.series.unit
        figures = f"{self.series.name:<38} {self.middle:>9,.1f} {unit:<5}"
        if not is_judged:
            return figures.rstrip()
        verdict = "flat" if self.is_flat else "NOT FLAT"
        return f"{figures} {self.slope:>+9,.2f}/h  bound {self.bound:>8,.2f}/h  {verdict}"


def of_server(name, key):
    return lambda sample: (sample["servers"].get(name) or {}).get(key)


def tables(kept, column, is_kept=False):
    return lambda sample: sum(row[column] for name, row in sample["tables"].items() if (name in kept) == is_kept)


def bytes_per_row(name):
    """None for a few rows, which take no less than a page."""
    return lambda sample: sample["tables"][name][0] / sample["rows"][name] if sample["rows"][name] >= 500 else None


def all_series(long_lived, kept):
    """What is judged. A server that is restarted begins anew each time; the long-lived one shows a leak."""

    def milliseconds(what, key):
        return lambda sample: None if sample[what][key] is None else sample[what][key] * 1000

    server = f"server {long_lived}"
    found = [
        Series(f"{server}: memory", "MiB", MIB, of_server(long_lived, "memory"), 0.05, 4),
        Series(f"{server}: open files", "", 1, of_server(long_lived, "files"), 0.05, 5),
        Series(f"{server}: sessions in memory", "", 1, of_server(long_lived, "sessions"), 0.10, 10),
        Series("PostgreSQL: private memory", "MiB", MIB, lambda sample: sample["postgresMemory"], 0.10, 20),
        Series("database connections", "", 1, lambda sample: sample["connections"], 0.10, 3),
        Series("tables whose rows are deleted", "MiB", MIB, tables(kept, 0), 0.10, 4),
        Series("dead rows", "", 1, tables(kept, 2), 0.25, 2000),
        Series("sessions stored", "", 1, lambda sample: sample["sessions"], 0.10, 20),
        Series("commands: p50", "ms", 1, milliseconds("commands", "p50"), 0.25, 1),
        Series("commands: p99", "ms", 1, milliseconds("commands", "p99"), 0.50, 20),
        Series("viewer lag: p50", "ms", 1, milliseconds("lag", "p50"), 0.25, 1),
        Series("viewer lag: p99", "ms", 1, milliseconds("lag", "p99"), 0.50, 20),
    ]
    found += [Series(f"a row of {name}", "bytes", 1, bytes_per_row(name), 0.10, 20) for name in kept]
    return found
