"""The embedders of a process, and which of them a collection's vectors are of."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from pipelines.ports import Collection, EmbedderIdentity
from twofold.errors import ConfigurationError, EmbedderMismatch, InvalidRequest, Unavailable

E_co = TypeVar("E_co", bound=EmbedderIdentity, covariant=True)


class Embedders(Generic[E_co]):
    """Embedders by name: where the models are, compute or request, makes no difference here.

    Args:
        default: Of new collections that name none.
        others: Those that collections may name beside it.
    """

    def __init__(self, default: E_co, *others: E_co) -> None:
        self.default = default
        self._all: Sequence[E_co] = (default, *others)

    def __iter__(self) -> Iterator[E_co]:
        return iter(self._all)

    @property
    def names(self) -> list[str]:
        """Of all whose model is known, the default first; see `QueryEmbedder`."""
        return [name for name in map(_name, self._all) if isinstance(name, str)]

    def of(self, collection: Collection) -> E_co:
        """The one that a collection's vectors are of.

        Raises:
            EmbedderMismatch: This process has no model of that name, or with such vectors.
            Unavailable: It may be one that nobody knows yet.
        """
        embedder = self._find(collection.embedder)
        if embedder is None or not 0 < collection.dimensions <= embedder.dimensions:
            raise EmbedderMismatch(
                collection=collection.name,
                stored=collection.embedder,
                stored_dimensions=collection.dimensions,
                running="', '".join(self.names),
            )
        return embedder

    def named(self, name: str | None) -> E_co:
        """The one that a request names; None: the default.

        Raises:
            InvalidRequest: There is none of that name.
            Unavailable: It may be one that nobody knows yet.
        """
        embedder = self.default if name is None else self._find(name)
        if embedder is None:
            there = "', '".join(self.names)
            raise InvalidRequest(
                field="embedder",
                reason=f"this server has '{there}'; the operator adds others with "
                "TWOFOLD_OTHER_EMBEDDERS",
            )
        return embedder

    def _find(self, name: str) -> E_co | None:
        names = [_name(each) for each in self._all]
        if name in names:
            return self._all[names.index(name)]
        unknown = next((each for each in names if isinstance(each, Unavailable)), None)
        if unknown is not None:
            raise unknown
        return None


def require_distinct(embedders: Sequence[EmbedderIdentity]) -> None:
    """Raise ConfigurationError if two models have one name: a collection could be of either."""
    names = [each.name for each in embedders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(
            setting="TWOFOLD_OTHER_EMBEDDERS",
            reason=f"two of the embedders are called '{twice}', and a collection remembers its "
            "model by name; leave one out, or rename the folder of one",
        )


def _name(embedder: EmbedderIdentity) -> str | Unavailable:
    try:
        return embedder.name
    except Unavailable as unknown:
        return unknown
