"""Which documents of a collection the judgements speak of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from twofold.evaluation.judgements import Judgement, Judgements, bad
from twofold.schema import Document


@dataclass(frozen=True)
class Known:
    """The documents of a collection, by what people call them.

    Attributes:
        names: By id.
        ids: By every way to say which one is meant.
    """

    names: Mapping[str, str]
    ids: Mapping[str, str]

    @classmethod
    def of(cls, documents: Iterable[Document]) -> "Known":
        """A document may be meant by its id, its name, or its name without the ending.

        A name without ending that two documents share means neither.
        """
        names = {document.id: document.name for document in documents}
        ids: dict[str, str] = {}
        stems: dict[str, str | None] = {}
        for document_id, name in names.items():
            ids.setdefault(name, document_id)
            stem = PurePosixPath(name).stem
            stems[stem] = None if stem in stems else document_id
        plain = {stem: found for stem, found in stems.items() if found is not None}
        return cls(names, {**plain, **ids, **{document_id: document_id for document_id in names}})

    def relevant(
        self, judgements: Judgements, collection: str
    ) -> tuple[dict[str, dict[str, int]], list[Judgement]]:
        """By query, the ids of the documents that answer it; and the rows about unknown ones.

        Unknown ones stay among the answers: that they are missing is no merit of any ranking.

        Raises:
            InvalidRequest: A judgement is about nothing, and the judgements are strict or none
                is about anything.
        """
        unknown = [
            row for row in judgements.rows if row.relevance > 0 and row.document not in self.ids
        ]
        answers = sum(row.relevance > 0 for row in judgements.rows)
        if unknown and (judgements.strict or len(unknown) == answers):
            raise self._unknown(unknown, collection)
        return {
            query_id: {self.ids.get(document, document): gain for document, gain in found.items()}
            for query_id, found in judgements.relevant().items()
        }, unknown

    def _unknown(self, unknown: list[Judgement], collection: str) -> Exception:
        first, *others = unknown
        near = get_close_matches(first.document, list(self.ids), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "; `twofold documents` lists them"
        more = f" (and {len(others)} more rows like this)" if others else ""
        return bad(
            first.place,
            f"there is no document with the id or name '{first.document}' in the collection "
            f"'{collection}'{hint}{more}",
        )
