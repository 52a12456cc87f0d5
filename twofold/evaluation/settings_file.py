"""The file that a tuning leaves: settings as a server reads them, with what they came from.

Lines of `NAME=VALUE`, which `TWOFOLD_SETTINGS_FILE`, `env_file` of Compose, `EnvironmentFile` of
systemd and `--from-env-file` of kubectl all understand.
"""

from collections.abc import Iterable, Mapping

from twofold.evaluation.grid import Choice


def settings_of(choice: Choice) -> dict[str, str]:
    """The settings of a server that searches so where a request does not say."""
    settings = {
        "TWOFOLD_RECALL_LIMIT": str(choice.limit),
        "TWOFOLD_RECALL_FUSION": choice.fusion,
        "TWOFOLD_RERANK_DEPTH": str(choice.depth),
    }
    return {**settings, "TWOFOLD_RERANK_WEIGHT": f"{choice.weight:g}"} if choice.depth else settings


def file_text(settings: Mapping[str, str], comments: Iterable[str]) -> str:
    """The whole file.

    Args:
        settings: By name.
        comments: Where they came from; each on a line of its own.
    """
    lines = [f"# {' '.join(comment.split())}" for comment in comments]
    return "\n".join((*lines, *(f"{name}={value}" for name, value in settings.items()), ""))
