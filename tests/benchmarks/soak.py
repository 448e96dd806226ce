"""Many sessions for long: rerun times, memory and jobs of one server. Run by hand: `make soak`.

`python -m tests.benchmarks.soak --sessions 60 --minutes 30`; the report goes to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.soak_visitor import Seen, visit
from tests.browser.driver import free_port, wait_for_health
from tests.support.places import ROOT

MB = 2**20
# A file that is edited meanwhile would be loaded again, half of the program without the other.
SETTINGS = {"STREAMLIT_SERVER_HEADLESS": "true", "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none"}
ENDS = ("finished", "stopped", "failed")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--pause", type=float, default=20, help="seconds between two clicks of a visitor, on average")
    return parser.parse_args()


async def soak(address: str, sessions: int, minutes: float, pause_s: float) -> Seen:
    """Let so many visitors come, over the first half minute, and go after so many minutes; a line a minute."""
    seen, until_s = Seen(), time.monotonic() + 60 * minutes
    visitors = []
    for index in range(sessions):
        visitors.append(asyncio.create_task(visit(address, seen, random.Random(index), until_s, pause_s)))
        await asyncio.sleep(min(30, 10 * minutes) / sessions)
    while time.monotonic() < until_s:
        await asyncio.sleep(min(60.0, max(0.1, until_s - time.monotonic())))
        print(
            f"{seen.now} sessions, {seen.visits} visits, {len(seen.reruns_s)} reruns, {dict(seen.problems)}", flush=True
        )
    await asyncio.gather(*visitors)
    return seen


def report(seen: Seen, watched: list[dict[str, Any]], minutes: float) -> str:
    """The figures, a line each."""
    cuts = statistics.quantiles(seen.reruns_s, n=100, method="inclusive")
    last, rss = watched[-1], [one["rss"] for one in watched]
    first = watched[min(60, len(watched) - 1)]["rss"]
    tenth = max(1, len(rss) // 10)
    told = (
        ("minutes", f"{minutes:g} on {os.cpu_count()} cores, load at the end {os.getloadavg()[1]:.1f}"),
        ("sessions at once", f"{seen.most}, {seen.visits} visits"),
        ("reruns", f"{len(seen.reruns_s):,}, and {seen.fragments:,} of parts that refresh themselves"),
        ("rerun p50 / p95 / max", f"{cuts[49]:.2f} / {cuts[94]:.2f} / {max(seen.reruns_s):.2f} s"),
        ("memory before / after 1 min / end / peak",
         f"{rss[0] / MB:.0f} / {first / MB:.0f} / {rss[-1] / MB:.0f} / {last['peak'] / MB:.0f} MB"),
        ("memory, mean of last tenths",
         ", ".join(f"{statistics.mean(rss[i : i + tenth]) / MB:.0f}" for i in range(0, len(rss), tenth))),
        ("jobs asked / started", f"{last.get('asked', 0):,} / {last.get('started', 0):,}"),
        ("jobs " + " / ".join(ENDS), " / ".join(f"{last.get(end, 0):,}" for end in ENDS)),
        ("most at once / in the queue", f"{max(o['running'] for o in watched)} / {max(o['waiting'] for o in watched)}"),
        ("longest queue that was shown", f"{seen.longest_queue}"),
        ("left after the last visitor", f"{last['running']} running, {last['waiting']} waiting"),
        ("links left before all was there", f"{seen.given_up}"),
        ("problems", f"{dict(seen.problems) or 'none'}"),
    )  # fmt: skip
    return "\n".join(f"{name}: {value}" for name, value in told)


def main() -> None:
    asked, port = options(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        watch, log = Path(folder, "watch.jsonl"), Path(folder, "log.txt")
        command = [sys.executable, "-m", "tests.benchmarks.soak_server", str(port), str(watch)]
        with log.open("wb") as out:
            server = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=os.environ | SETTINGS)
        try:
            wait_for_health(server, f"http://127.0.0.1:{port}", log, 120)
            seen = asyncio.run(soak(f"ws://127.0.0.1:{port}", asked.sessions, asked.minutes, asked.pause))
            time.sleep(30)  # jobs of those who have gone end by themselves
            lines = watch.read_text(encoding="utf-8").splitlines()
            print(report(seen, [json.loads(line) for line in lines[:-1]], asked.minutes))
            print(f"server: {'alive' if server.poll() is None else server.returncode}; its log, last lines:")
            print(log.read_text(errors="replace")[-1500:])
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
