"""Sequences of tokens that begin alike, and how they are laid in one row without padding."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from pipelines.models.packed_attention import Kept, Layout, Piece

Tokens: TypeAlias = tuple[int, ...]


class Branch(NamedTuple):
    """Sequences that begin alike: `stem + leaf` for each leaf.

    Attributes:
        stem: What they share; may be empty.
        leaves: How each continues; none is empty.
    """

    stem: Tokens
    leaves: Sequence[Tokens]

    @classmethod
    def of(cls, sequences: Sequence[Tokens]) -> "Branch":
        """Split sequences after their longest common beginning."""
        shared = min(common_length(sequences), min(map(len, sequences)) - 1)
        return cls(sequences[0][:shared], [each[shared:] for each in sequences])

    def new_tokens(self, kept: Kept | None) -> int:
        """How many tokens are to be computed when those are kept."""
        return len(self.stem) - kept_length(self.stem, kept) + sum(map(len, self.leaves))

    def cut(self, budget: int) -> Iterator["Branch"]:
        """Branches of at most `budget` tokens in their leaves, in order; a longer leaf is alone."""
        group: list[Tokens] = []
        room = budget
        for leaf in self.leaves:
            if len(leaf) > room and group:
                yield Branch(self.stem, group)
                group, room = [], budget
            group.append(leaf)
            room -= len(leaf)
        yield Branch(self.stem, group)


class Row(NamedTuple):
    """What one forward pass computes.

    Attributes:
        tokens: Ids, sequence after sequence.
        positions: The place of each in its own sequence.
        layout: Which rows see which.
        ends: The row of the last token of every leaf.
    """

    tokens: Tokens
    positions: Tokens
    layout: Layout
    ends: Tokens = ()

    @property
    def at_ends(self) -> Layout:
        """The layout of the last layer, where only the last token of each leaf asks."""
        ends = set(self.ends)
        leaves = [piece for piece in self.layout.pieces if piece.own.stop - 1 in ends]
        return Layout(leaves, self.layout.kept, last_only=True)


def common_length(sequences: Sequence[Tokens]) -> int:
    """How many first tokens all of the sequences share."""
    first, last = min(sequences), max(sequences)  # in order, all others lie between these two
    pairs = zip(first, last, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def kept_length(tokens: Tokens, kept: Kept | None) -> int:
    """How many first tokens need not be computed again."""
    return common_length([tokens, kept.tokens]) if kept else 0


def pack(kept: Kept | None, branches: Sequence[Branch]) -> Row:
    """Lay branches one after the other: stem, leaf, leaf, ... without what is kept."""
    tokens: list[int] = []
    positions: list[int] = []
    pieces: list[Piece] = []
    ends: list[int] = []

    def lay(new: Tokens, earlier: int) -> slice:
        start = len(tokens)
        tokens.extend(new)
        positions.extend(range(earlier, earlier + len(new)))
        return slice(start, len(tokens))

    for branch in branches:
        shared = kept_length(branch.stem, kept)
        stem = lay(branch.stem[shared:], shared)
        if stem.stop > stem.start:
            pieces.append(Piece(shared, slice(stem.start, stem.start), stem))
        for leaf in branch.leaves:
            own = lay(leaf, len(branch.stem))
            pieces.append(Piece(shared, stem, own))
            ends.append(own.stop - 1)
    return Row(tuple(tokens), tuple(positions), Layout(pieces, kept), tuple(ends))


def pack_stem(kept: Kept | None, stem: Tokens) -> Row:
    """Lay a beginning that is to be kept, without what is kept already."""
    shared = kept_length(stem, kept)
    new = stem[shared:]
    piece = Piece(shared, slice(0, 0), slice(0, len(new)))
    return Row(new, tuple(range(shared, len(stem))), Layout([piece], kept))


def halves(branches: Sequence[Branch]) -> list[list[Branch]]:
    """Two halves of a batch; none where a single sequence is left."""
    if len(branches) > 1:
        middle = len(branches) // 2
        return [list(branches[:middle]), list(branches[middle:])]
    stem, leaves = branches[0]
    if len(leaves) == 1:
        return []
    middle = len(leaves) // 2
    return [[Branch(stem, leaves[:middle])], [Branch(stem, leaves[middle:])]]
