"""The messages between API processes and workers, and what is refused of others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ports import PairScores
from pipelines.rerank.streams.wire import (
    REPLIES,
    VERSION,
    Announcement,
    EmbedCall,
    Embedded,
    Fields,
    Pace,
    Profile,
    Refused,
    RerankCall,
    Scored,
    UnknownVersion,
    WireError,
    pack_announcement,
    read_announcement,
    read_call,
    read_reply,
    seal,
    unseal,
)

TO = f"{REPLIES}process"
CALL = RerankCall("query", ["one", "zwei", "三"], 7, 1.5, 1e9, "find numbers")


def delivered(sealed: list[str | bytes], **changed: bytes) -> Fields:
    """The fields as Redis hands them out."""
    raw = [part.encode() if isinstance(part, str) else part for part in sealed]
    more = {key.encode(): value for key, value in changed.items()}
    return dict(zip(raw[::2], raw[1::2], strict=True)) | more


@pytest.mark.parametrize("call", [CALL, EmbedCall("query", 1.5, 1e9)])
def test_a_call_arrives_as_it_was_sent(call: RerankCall | EmbedCall) -> None:
    envelope = unseal(delivered(seal("17", call, to=TO)))
    assert (envelope.id, envelope.to) == ("17", TO)
    assert read_call(envelope, type(call)) == call


@pytest.mark.parametrize(
    "reply", [Scored(3, b"\0" * 8, b"\0\1", 0.5), Embedded(b"\0" * 8), Refused("error", "because")]
)
def test_a_reply_arrives_as_it_was_sent(reply: Scored | Embedded | Refused) -> None:
    assert read_reply(unseal(delivered(seal("17", reply)))) == reply


def test_scores_arrive_as_they_were() -> None:
    scores = PairScores(np.array([0.25, 1.0], np.float32), np.array([True, False]))
    found = Scored.of(0, scores, 0.1).unpacked()
    assert (found.scores.dtype, found.truncated.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(found.scores, scores.scores)
    np.testing.assert_array_equal(found.truncated, scores.truncated)


def test_a_vector_arrives_as_it_was() -> None:
    vector = np.array([0.6, -0.8], np.float32)
    np.testing.assert_array_equal(Embedded.of(vector).unpacked(), vector)


@pytest.mark.parametrize(
    "reply",
    [
        Scored(0, b"\0" * 4, b"\0\0", 0.0),
        Scored(0, np.array([np.nan], "<f4").tobytes(), b"\0", 0.0),
        Embedded(b""),
        Embedded(b"\0" * 7),
        Embedded(np.array([np.inf], "<f4").tobytes()),
    ],
)
def test_numbers_that_are_none_are_refused(reply: Scored | Embedded) -> None:
    with pytest.raises(WireError):
        reply.unpacked()


def test_another_version_is_told_from_garbage() -> None:
    envelope = unseal(delivered(seal("17", CALL, to=TO), v=b"2", body=b"whatever that is"))
    with pytest.raises(UnknownVersion, match=f"version 2 and this process speaks {VERSION}"):
        read_call(envelope, RerankCall)
    with pytest.raises(UnknownVersion):
        read_announcement(b"2 whatever that is")


def test_a_call_in_the_stream_of_another_kind_is_refused() -> None:
    with pytest.raises(WireError, match="schema"):
        read_call(unseal(delivered(seal("17", CALL, to=TO))), EmbedCall)


@pytest.mark.parametrize("to", ["", "twofold:rerank:auto"])
def test_an_answer_goes_to_a_reply_stream_and_nowhere_else(to: str) -> None:
    with pytest.raises(WireError, match="reply stream"):
        read_call(unseal(delivered(seal("17", CALL, to=to))), RerankCall)


@pytest.mark.parametrize("budget", [float("nan"), float("inf"), -1.0])
def test_a_budget_is_a_number_of_seconds(budget: float) -> None:
    call = RerankCall("query", ["one"], 0, budget, 1e9)
    with pytest.raises(WireError):
        read_call(unseal(delivered(seal("17", call, to=TO))), RerankCall)


def test_text_that_is_not_unicode_is_never_sent() -> None:
    with pytest.raises(WireError, match="surrogate"):
        seal("17", RerankCall("\ud83d", ["one"], 0, 1.0, 1e9), to=TO)


def test_an_announcement_arrives_as_it_was_made() -> None:
    said = Announcement("worker", "model", "host", Profile(50, 0.5, True), pace=Pace(0.1, 0.2, 3))
    assert read_announcement(pack_announcement(said)) == said


@given(st.dictionaries(st.sampled_from([b"v", b"id", b"to", b"body", b"x"]), st.binary()))
def test_no_bytes_do_more_than_be_refused(fields: Fields) -> None:
    for read in (lambda envelope: read_call(envelope, RerankCall), read_reply):
        with pytest.raises(WireError):
            read(unseal(fields))


@given(st.binary())
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    fields = {b"v": str(VERSION).encode(), b"id": b"1", b"to": TO.encode(), b"body": body}
    for read in (lambda envelope: read_call(envelope, RerankCall), read_reply):
        with pytest.raises(WireError):
            read(unseal(fields))
