"""A visitor without a browser: opens links over Streamlit's websocket, waits for what they show, and leaves."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

MINIS = ("zfnet_mini", "resnet_mini", "vgg_mini", "mobilenet_v2_mini", "densenet_mini", "convnext_mini")
LARGE = ("resnet50", "vgg16", "densenet121", "efficientnet_b0", "convnext_tiny", "googlenet", "mobilenet_v3_small")
IMAGES = ("cat", "boat")
PATIENCE_S = 60  # as long a visitor looks at what is not done yet
QUEUE = re.compile(r"in the queue: (?:(\d+) before you|you are next)")


@dataclass
class Seen:
    """What all visitors saw together."""

    reruns_s: list[float] = field(default_factory=list)
    fragments: int = 0
    visits: int = 0
    now: int = 0
    most: int = 0
    longest_queue: int = 0
    given_up: int = 0
    problems: Counter[str] = field(default_factory=Counter)


def link(draw: random.Random) -> str:
    """Something to look at: mostly what needs a job."""
    mini, image = draw.choice(MINIS), draw.choice(IMAGES)
    return draw.choice((
        f"view=workbench&preset={draw.choice(LARGE)}",
        f"view=workbench&preset={draw.choice(MINIS)}&panel=costs",
        f"view=maps&preset={mini}&image={image}",
        f"view=maps&preset={mini}&weights=random&seed={draw.randrange(1000)}",
        f"view=occlusion&preset={mini}&image={image}&stride={draw.choice((8, 12))}",
        f"view=blocks&measured=1&input_height={draw.choice((14, 28))}&input_width=28",
        "view=contest",
    ))  # fmt: skip


class Visitor:
    """One session: what it is shown is read as it comes, and parts that refresh themselves are asked for again."""

    def __init__(self, socket: ClientConnection, seen: Seen) -> None:
        self.socket, self.seen = socket, seen
        self.asked_s: float | None = None
        self.timers: dict[str, asyncio.Task[None]] = {}
        self.finished = asyncio.Event()
        self.query = ""

    async def open(self, query: str) -> None:
        """Open a link as *Back* does, and wait until all that it shows is there."""
        self.query, self.asked_s = query, time.monotonic()
        self.finished.clear()
        await self._ask(history=True)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.finished.wait()
                while self.timers:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.seen.given_up += 1

    async def read(self) -> None:
        """Take what the server sends, until it or the visitor closes the line."""
        try:
            async for data in self.socket:
                message = ForwardMsg()
                message.ParseFromString(data if isinstance(data, bytes) else data.encode())
                self._take(message)
        except Exception as error:
            self.seen.problems[f"read: {type(error).__name__}: {error}"[:120]] += 1

    async def _ask(self, fragment: str = "", history: bool = False) -> None:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.fragment_id = self.query, fragment
        asked.is_auto_rerun, asked.is_history_navigation = bool(fragment), history
        asked.context_info.timezone = "UTC"
        await self.socket.send(message.SerializeToString())

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session" and not message.metadata.run.fragment_ids:
            self.quiet()
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._stop(fragment)
        elif kind == "auto_rerun":
            again = message.auto_rerun
            self._stop(again.fragment_id)
            self.timers[again.fragment_id] = asyncio.create_task(self._again(again.fragment_id, again.interval))
        elif kind == "script_finished":
            self._finished(message.script_finished)
        elif kind == "delta":
            self._look(message)

    async def _again(self, fragment: str, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await self._ask(fragment)

    def _finished(self, status: int) -> None:
        if status == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self.seen.fragments += 1
        elif status == ForwardMsg.FINISHED_SUCCESSFULLY:
            if self.asked_s is not None:
                self.seen.reruns_s.append(time.monotonic() - self.asked_s)
                self.asked_s = None
            self.finished.set()
        elif status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self.seen.problems["compile error"] += 1

    def _look(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.seen.problems[f"exception: {element.exception.message[:120]}"] += 1
        elif kind == "alert" and element.alert.format == Alert.ERROR:
            self.seen.problems[f"error: {element.alert.body[:120]}"] += 1
        elif kind == "progress" and (place := QUEUE.search(element.progress.text)):
            self.seen.longest_queue = max(self.seen.longest_queue, 1 + int(place[1] or 0))

    def _stop(self, fragment: str) -> None:
        if timer := self.timers.pop(fragment, None):
            timer.cancel()

    def quiet(self) -> None:
        """Ask for nothing again: the page was drawn anew, or is left."""
        for fragment in list(self.timers):
            self._stop(fragment)


async def visit(address: str, seen: Seen, draw: random.Random, until_s: float, pause_s: float) -> None:
    """Visit after visit until `until_s`: some links each, a pause after each; one visit in four is broken off."""
    while time.monotonic() < until_s:
        try:
            line = connect(f"{address}/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None,
                           open_timeout=PATIENCE_S, ping_interval=None)  # fmt: skip
            async with line as socket:
                await _sit(Visitor(socket, seen), draw, until_s, pause_s)
        except Exception as error:
            seen.problems[f"line: {type(error).__name__}: {error}"[:120]] += 1
            await asyncio.sleep(1)


async def _sit(visitor: Visitor, draw: random.Random, until_s: float, pause_s: float) -> None:
    seen, reader = visitor.seen, asyncio.create_task(visitor.read())
    seen.visits, seen.now = seen.visits + 1, seen.now + 1
    seen.most = max(seen.most, seen.now)
    try:
        for _ in range(draw.randint(3, 12)):
            if time.monotonic() >= until_s:
                break
            await visitor.open(link(draw))
            await asyncio.sleep(draw.uniform(0.5, 1.5) * pause_s)
        if draw.random() < 0.25:  # the browser is gone while something is under way
            opening = asyncio.create_task(visitor.open(link(draw)))
            await asyncio.sleep(0.3)
            opening.cancel()
    finally:
        seen.now -= 1
        visitor.quiet()
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
