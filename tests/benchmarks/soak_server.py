"""The app as it is served, with a watch on its jobs and memory: a line of JSON a second. For soak.py alone."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import Any

from explorer.cli.serve import serve_command
from explorer.ui import jobs
from explorer.ui.jobs import Job

counts: Counter[str] = Counter()
_lock = threading.Lock()


def note(event: str) -> None:
    with _lock:
        counts[event] += 1


def how(job: Job) -> str:
    """What came of a job, in one word."""
    return "stopped" if job.cancelled else "failed" if job.error else "finished"


def watch(name: str, event: Any) -> None:
    """From now on, each call of a method of Job is counted under `event(job)`."""
    method = getattr(Job, name)

    @wraps(method)
    def counted(job: Job) -> Any:
        result = method(job)
        note(event(job))
        return result

    setattr(Job, name, counted)


def memory_bytes() -> dict[str, int]:
    """What the process holds now, and the most that it ever held."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"rss": sizes["VmRSS"], "peak": sizes["VmHWM"]}


def keep_writing(path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        while True:
            queue = jobs._queue
            now = {"waiting": len(queue._waiting), "running": len(queue._running), "threads": threading.active_count()}
            with _lock:
                now |= dict(counts)
            out.write(json.dumps({"at": time.time(), **memory_bytes(), **now}) + "\n")
            out.flush()
            time.sleep(1)


if __name__ == "__main__":
    watch("start", lambda job: "asked")
    watch("begin", lambda job: "started")
    watch("_close", how)
    threading.Thread(target=keep_writing, args=(Path(sys.argv[2]),), daemon=True).start()
    sys.exit(serve_command(int(sys.argv[1])))
