"""What a person sees of the topology: a table that follows the states, or lines where none can."""

from rich.console import Console
from rich.live import Live
from rich.table import Table

from infra.local.topology import Topology

_STYLES = {
    "healthy": "green",
    "unhealthy": "red",
    "failed": "red",
    "restarting": "yellow",
    "stopped": "dim",
}


class Display:
    """Shows a topology on a terminal or in a log; a context, so that the terminal is left tidy."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._seen: dict[str, str] = {}
        self._invited = False

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, topology: Topology) -> None:
        """Say where everything stands."""
        if self._console.is_terminal:
            self._live.update(_table(topology), refresh=True)
        else:
            self._lines(topology)
        if topology.well and not self._invited:
            self._invited = True
            self._console.print(_invitation(topology), highlight=False, soft_wrap=True)

    def _lines(self, topology: Topology) -> None:
        for name, unit in topology.units.items():
            if self._seen.get(name) != unit.state:
                self._seen[name] = unit.state
                ports = " ".join(map(str, topology.ports[name]))
                self._console.print(
                    f"{name:14} {unit.state:11} {unit.process_id or '':>8}  {ports:6} "
                    f"{unit.program.note}",
                    highlight=False,
                    soft_wrap=True,
                )


def _table(topology: Topology) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "state", "port", "process", "restarts", "what runs", "log"):
        table.add_column(heading)
    for name, unit in topology.units.items():
        style = _STYLES.get(unit.state, "")
        state = f"[{style}]{unit.state}[/]" if style else unit.state
        ports = " ".join(map(str, topology.ports[name]))
        numbers = (ports, str(unit.process_id or ""), str(unit.restarts))
        table.add_row(name, state, *numbers, unit.program.note, unit.log.name)
    return table


def _invitation(topology: Topology) -> str:
    url = topology.url
    return (
        f"\nTwofold answers on {url} (documentation: {url}/docs). In another terminal:\n"
        f"  export TWOFOLD_URL={url}\n"
        "  make demo-remote\n"
        "  .venv/bin/twofold add examples/demo/documents\n"
        '  .venv/bin/twofold search "why is my crust pale"\n'
        f"Logs are in {topology.logs}. Ctrl-C stops everything.\n"
    )
