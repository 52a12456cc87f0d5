"""What `twofold add` leaves out of a folder: as git does, by `.gitignore` and `.twofoldignore`.

Both have the same syntax, lie in any folder and hold for what is below it. The rules of a deeper
folder come after those of the folders above, and `.twofoldignore` after `.gitignore`: what comes
later decides, so that a `!` there takes a file back in.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

FILES = (".gitignore", ".twofoldignore")


@dataclass(frozen=True)
class Ignore:
    """The rules that hold in a folder.

    Attributes:
        rules: The folder that each set of them is relative to, the outermost first.
    """

    rules: tuple[tuple[Path, GitIgnoreSpec], ...] = ()

    @classmethod
    def above(cls, folder: Path) -> "Ignore":
        """The rules from above a folder, where it lies in a git repository.

        None of them, where they leave out the folder itself: whoever names it wants it.
        """
        parents = list(folder.resolve().parents)
        roots = [n for n, each in enumerate(parents) if (each / ".git").exists()]
        if (folder / ".git").exists() or not roots:
            return cls()
        ignore = cls()
        for parent in reversed(parents[: roots[0] + 1]):
            ignore = ignore.inside(parent)
        return cls() if ignore.leaves_out(folder.resolve(), is_folder=True) else ignore

    def inside(self, folder: Path) -> "Ignore":
        """The rules that hold in a folder, its own ones included."""
        specs = []
        for name in FILES:
            try:
                lines = (folder / name).read_text("utf-8", errors="replace").splitlines()
            except OSError:
                continue
            specs.append((folder, GitIgnoreSpec.from_lines(lines)))
        return Ignore((*self.rules, *specs)) if specs else self

    def leaves_out(self, path: Path, *, is_folder: bool) -> bool:
        """Whether a file or folder is left out."""
        for folder, spec in reversed(self.rules):
            below = os.path.relpath(path, folder).replace(os.sep, "/")
            decided = spec.check_file(below + "/" if is_folder else below).include
            if decided is not None:
                return decided
        return False
