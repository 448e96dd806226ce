"""From a Spec to the whole analysis, against torchvision's builder and torchinfo, both without allocating.

In seconds of the processor: both are Python in one thread, and other programs do not count.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
import torchinfo
import torchvision

from explorer.networks import catalog
from tests.benchmarks.timing import Table, best_seconds, seconds

ROUNDS = 8
NETWORKS = ("vgg16", "resnet50", "googlenet", "densenet201", "efficientnet_b7", "convnext_base")
# The peak of resident memory in the first analysis of a new process, above what is resident after the imports, in kB.
MEMORY = """
import sys
from pathlib import Path

from explorer.networks import catalog

def status(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS:")
catalog.find(sys.argv[1]).analysis()
print(status("VmHWM:") - before)
"""


def ours(name: str) -> None:
    catalog.find(name).analysis((3, 224, 224))


def theirs(name: str) -> None:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on GoogLeNet's initialisation
        module = torchvision.models.get_model(name).eval()
    torchinfo.summary(module, (1, 3, 224, 224), device="meta", verbose=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_time(name: str, table: Table) -> None:
    mine, other = best_seconds([lambda: ours(name), lambda: theirs(name)], ROUNDS, time.process_time)
    table.against(name, seconds(mine), f"{seconds(other)} torchvision + torchinfo", mine / other, "≤ 0.5")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak from Linux's /proc")
@pytest.mark.parametrize("name", [*NETWORKS, "resnet152"])
def test_peak_memory(name: str, table: Table) -> None:
    def peak(code: str) -> float:
        done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
        return int(done.stdout) / 1e3

    table.limit(f"{name}, peak above the imports", peak(MEMORY), 50, "{:.0f} MB".format)
