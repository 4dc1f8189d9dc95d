"""What a node costs the thread that reports it, in microseconds.

python benchmarks/overhead.py        # RELIVE_URL: a server; without one, what it costs while the server is away
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import relive

ROUNDS = 4_000


def measured(work: Callable[[], None]) -> tuple[list[float], float]:
    """How long each round took, in order, and the processor's time of this thread for one."""
    taken, used = [], 0.0
    for _ in range(ROUNDS):
        began, used_before = time.perf_counter(), time.thread_time()
        work()
        used += time.thread_time() - used_before
        taken.append((time.perf_counter() - began) * 1e6)
    return sorted(taken), used / ROUNDS * 1e6


@relive.node
def decorated(a: int, b: str) -> dict[str, int]:
    return {b: a}


def main() -> None:
    # A full queue takes nothing, which is cheaper.
    relive.configure(limits=relive.Limits(queued=1_000_000))
    with relive.run("Overhead") as run:

        def bare() -> None:
            with run.node("bare"):
                pass

        def full() -> None:
            with run.node("full", kind="task", input={"day": 1}) as node:
                node.log("half way")
                node.usage(model="gpt-4o-mini", input_tokens=10, output_tokens=2)
                node.output({"rows": 42})

        print(f"{'node':<36}{'median':>9}{'mean':>9}{'99 %':>9}{'processor':>11}")
        for name, work in {
            "start and end": bare,
            "decorated, with input and output": lambda: decorated(1, "x") and None,
            "with input, log, usage and output": full,
        }.items():
            taken, used = measured(work)
            figures = (statistics.median(taken), statistics.fmean(taken), taken[int(len(taken) * 0.99)])
            print(f"{name:<36}{''.join(f'{one:>9.1f}' for one in figures)}{used:>11.1f}", flush=True)
    relive.flush()
    print(relive.stats())


if __name__ == "__main__":
    main()
