"""A Dockerfile as instructions and stages, as far as a policy asks."""

import re
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """One line, with its continuations."""

    word: str
    rest: str


class Stage(NamedTuple):
    """What is between one FROM and the next."""

    name: str
    base: str
    instructions: list[Instruction]


def stages(path: Path) -> list[Stage]:
    """Every stage in order; what stands before the first FROM is left out."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found: list[Stage] = []
    for word, _, rest in (line.partition(" ") for line in lines):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(name or "final", base, []))
        elif found:
            found[-1].instructions.append(Instruction(word, " ".join(rest.split())))
    return found
