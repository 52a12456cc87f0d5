"""The sandbox's zygote with hostile parsers in its children, and with one of their fences down.

The suffix of the file's name chooses: `.limits` leaves the system call filter out, `.filter`
leaves the descriptor limit out, anything else keeps both.
"""

import json
import sys

sys.path[:] = json.loads(sys.argv[1])["path"]

from pipelines.parse import child, confine, zygote  # noqa: E402
from pipelines.parse.formats import Format  # noqa: E402

HOSTILE = Format("hostile", "tests.support.hostile_parsers", (), (), signature=b"")


def detect(*_, suffix: str, **__) -> Format:
    if suffix == ".limits":
        confine._install = lambda _: None
    if suffix == ".filter":
        confine.resource.RLIMIT_NOFILE = confine.resource.RLIMIT_CORE
    return HOSTILE


child.detect = detect
zygote.main()
