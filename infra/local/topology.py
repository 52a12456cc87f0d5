"""All services of a layout: started in the order of their dependencies, stopped in reverse."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from infra.local.layout import Layout
from infra.local.unit import Unit
from twofold.errors import StartupError

_LOOK_S = 0.1
_LAST_WORDS = 15


class ServiceFailed(StartupError):
    """A service did not get well and is not tried again."""

    code = "service_failed"
    template = "The service {name} does not start; the end of {log} says why:\n{words}"


class Topology:
    """The services and where they stand.

    Args:
        layout: What to run.
        data: Its folder; `run/state.json` in it says at any time what runs under which number.
    """

    def __init__(self, layout: Layout, data: Path) -> None:
        self.url = layout.url
        self.logs = data / "logs"
        self.units = {
            name: Unit(name, each.service, each.program, each.log)
            for name, each in layout.planned.items()
        }
        self.ports = {name: each.ports for name, each in layout.planned.items()}
        self._state_file = data / "run" / "state.json"
        self._stop = asyncio.Event()

    @property
    def well(self) -> bool:
        """Whether every service is."""
        return all(unit.state == "healthy" for unit in self.units.values())

    def stop(self) -> None:
        """End `run`, from a signal handler for example."""
        self._stop.set()

    async def run(self, show: Callable[["Topology"], None]) -> None:
        """Run everything until `stop` is called or a service is given up.

        Args:
            show: Called whenever a state has changed.

        Raises:
            ServiceFailed: All others have been stopped.
        """
        tasks = [asyncio.create_task(self._run(unit)) for unit in self.units.values()]
        try:
            await self._look_on(show)
        finally:
            await self._stop_in_order(show)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tell(show)
        if failed := self._failed():
            lines = failed.log.read_text(encoding="utf-8", errors="replace").splitlines()
            words = "\n".join(lines[-_LAST_WORDS:]) or "(it said nothing)"
            raise ServiceFailed(name=failed.name, log=str(failed.log), words=words)

    async def _run(self, unit: Unit) -> None:
        for name, dependency in unit.service.depends_on.items():
            if name in self.units and dependency.condition == "service_healthy":
                await self.units[name].well.wait()
        await unit.run()

    async def _look_on(self, show: Callable[["Topology"], None]) -> None:
        seen = None
        while not self._stop.is_set() and self._failed() is None:
            if (now := self._said()) != seen:
                seen = now
                self._tell(show)
            try:
                await asyncio.wait_for(self._stop.wait(), _LOOK_S)
            except TimeoutError:
                continue

    async def _stop_in_order(self, show: Callable[["Topology"], None]) -> None:
        """Those that nobody depends on any more are stopped together, then the next ones."""
        left = dict(self.units)
        while left:
            needed = {name for unit in left.values() for name in unit.service.depends_on}
            free = [unit for name, unit in left.items() if name not in needed]
            await asyncio.gather(*(unit.stop() for unit in free))
            for unit in free:
                del left[unit.name]
            await asyncio.sleep(0)
            self._tell(show)

    def _failed(self) -> Unit | None:
        return next((unit for unit in self.units.values() if unit.state == "failed"), None)

    def _said(self) -> dict[str, dict[str, object]]:
        return {
            name: {
                "state": unit.state,
                "pid": unit.process_id,
                "restarts": unit.restarts,
                "ports": self.ports[name],
            }
            for name, unit in self.units.items()
        }

    def _tell(self, show: Callable[["Topology"], None]) -> None:
        said = {"url": self.url, "services": self._said()}
        new = self._state_file.with_suffix(".new")
        new.write_text(json.dumps(said, indent=2), encoding="utf-8")
        new.replace(self._state_file)
        show(self)
