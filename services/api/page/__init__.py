"""The page at `/`: a few files without a build chain, which ask for nothing but the API.

The files lie in `static/` and are read when the process starts, so that no request names a path
of the disk. They hold no data: whoever may not search sees a page that asks for a key.
"""

from pathlib import Path
from typing import NamedTuple

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Content-Security-Policy of the page: what is its own and nothing else, nothing inline, and no
text of a document that becomes markup (https://www.w3.org/TR/CSP3/, https://w3c.github.io/trusted-types/)."""

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file of the page, as it is sent."""

    body: bytes
    media_type: str


def assets(folder: Path) -> dict[str, Asset]:
    """The files of a folder by the paths that they are served at; `index.html` is at `/`."""
    return {
        "/" if file.name == "index.html" else f"/page/{file.name}": Asset(
            file.read_bytes(), MEDIA_TYPES[file.suffix]
        )
        for file in sorted(folder.iterdir())
    }


ASSETS = assets(Path(__file__).parent / "static")
