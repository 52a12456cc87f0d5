"""How every benchmark of a model measures: interleaved rounds, medians, spread, and on what."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")


@dataclass
class Samples:
    """Seconds of the rounds of one contestant."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median wall seconds."""
        return median(self.wall)

    def summary(self) -> dict[str, float]:
        """Wall median, least and most, and median processor seconds."""
        return {
            "median_s": self.median,
            "min_s": min(self.wall),
            "max_s": max(self.wall),
            "cpu_median_s": median(self.cpu),
        }


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Samples]:
    """Run all of them in turn, round by round, so that noise meets all alike.

    The caller has run each once before, to see what it answers.
    """
    samples = {name: Samples() for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            samples[name].wall.append(time.perf_counter() - wall)
            samples[name].cpu.append(time.process_time() - cpu)
            print(
                f"  round {turn + 1} of {rounds}: {name} {samples[name].wall[-1]:.1f} s", flush=True
            )
    return samples


def products(dtype: torch.dtype, device: str = "cpu", rows: int = 2_048) -> Callable[[], None]:
    """A matrix product of the kind that a layer consists of: `rows` x 1024 by 1024 x 6144."""
    left = torch.randn(rows, 1024, device=device).to(dtype)
    right = torch.randn(6144, 1024, device=device).to(dtype)

    def run() -> None:
        F.linear(left, right)

    return run


def product_flops(rows: int = 2_048) -> float:
    """Floating-point operations of one such product."""
    return 2.0 * rows * 1024 * 6144


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    found = {"python": platform.python_version(), "threads": torch.get_num_threads()}
    for package in PACKAGES:
        found[package] = version(package)
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    found["processor"] = _processor()
    found["load average"] = [round(each, 1) for each in os.getloadavg()]
    return found


def save(name: str, report: Mapping[str, object], folder: Path = RESULTS) -> Path:
    """Write the report as JSON; returns where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor()
