"""The sandbox's child with hostile parsers in it, and with one of its fences taken down.

The suffix of the file's name chooses: `.limits` leaves the system call filter out, `.filter`
leaves the descriptor limit out, anything else keeps both.
"""

import json
import sys

order = json.loads(sys.argv[1])
sys.path[:] = order["path"]

from pipelines.parse import child, confine, detect  # noqa: E402
from pipelines.parse.formats import Format  # noqa: E402

HOSTILE = Format("hostile", "tests.support.hostile_parsers", (), (), signature=b"")

detect.detect = lambda *_, **__: HOSTILE
if order["suffix"] == ".limits":
    confine._install = lambda _: None
if order["suffix"] == ".filter":
    confine.resource.RLIMIT_NOFILE = confine.resource.RLIMIT_CORE
child.main()
