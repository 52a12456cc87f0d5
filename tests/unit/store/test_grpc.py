"""What is asked over gRPC is what is asked over REST: nothing is lost on the way into messages."""

from datetime import UTC, datetime

import numpy as np
import pytest
from pydantic import BaseModel
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from pipelines.ports import RecallQuery, SparseVector
from pipelines.store.conditions import Clause, below, every, match, none, row, translate, within
from pipelines.store.recall import searches
from pipelines.store.records import INDEXES, row_id, row_point
from pipelines.store.remote import _SCHEMA, Layout, _vectors_config
from tests.support import stored
from twofold.schema import Condition, Or

EVERYTHING = Or(
    or_=[
        Condition(key="year", gte=2000, lt=2020.5),
        Condition(key="day", gt=datetime(2024, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)),
        Condition(key="name", contains="ap", prefix="a"),
        Condition(key="lang", in_=["de", "en"], exists=True),
    ]
)
POINT = row_id("mine/notes@1", "d")
FILTERS: dict[str, Clause] = {
    "asked for": translate(EVERYTHING),
    "row": every(row("mine", POINT), match("upload", "u"), none(match("status", "ready"))),
    "numbers": every(below("version", 3), within("ordinal", 1, 2)),
}


def plain(model: BaseModel) -> object:
    """A filter or parameters without what is empty, which is the same as not there."""

    def without(value: object) -> object:
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if each not in (None, [])}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(model.model_dump())


@pytest.mark.parametrize("clause", FILTERS.values(), ids=FILTERS)
def test_a_filter_survives(clause: Clause) -> None:
    asked = models.Filter.model_validate(clause)
    assert plain(GrpcToRest.convert_filter(RestToGrpc.convert_filter(asked))) == plain(asked)


@pytest.mark.parametrize("prefix", [None, 4])
def test_a_search_survives(prefix: int | None) -> None:
    dense = np.arange(8, dtype=np.float32) / 8
    query = RecallQuery(dense, SparseVector([1, 2], [1.0, 0.5]), 10, EVERYTHING, vectors=True)
    for request in searches("mine/notes@1", query, prefix=prefix).values():
        asked = models.QueryRequest.model_validate(request)
        message = RestToGrpc.convert_query_request(asked, "notes")
        assert message.limit == 10
        assert plain(GrpcToRest.convert_filter(message.filter)) == plain(asked.filter)
        assert message.using == asked.using
        if asked.params:
            params = GrpcToRest.convert_search_params(message.params)
            assert plain(params) == plain(asked.params)
        for each, sent in zip(asked.prefetch or [], message.prefetch, strict=True):
            assert (sent.using, sent.limit) == (each.using, each.limit)
            assert plain(GrpcToRest.convert_filter(sent.filter)) == plain(each.filter)
            assert plain(GrpcToRest.convert_search_params(sent.params)) == plain(each.params)


def test_a_conditional_update_survives() -> None:
    point = row_point("mine/notes@1", stored.row())
    struct = models.PointStruct(id=str(point.id), vector={}, payload=point.payload)
    condition = models.Filter.model_validate(FILTERS["row"])
    upsert = models.PointsList(
        points=[struct], update_filter=condition, update_mode=models.UpdateMode.INSERT_ONLY
    )
    sent = RestToGrpc.convert_update_operation(models.UpsertOperation(upsert=upsert)).upsert
    assert plain(GrpcToRest.convert_filter(sent.update_filter)) == plain(condition)
    assert GrpcToRest.convert_update_mode(sent.update_mode) == models.UpdateMode.INSERT_ONLY
    [back] = [GrpcToRest.convert_point_struct(each) for each in sent.points]
    assert (back.id, back.payload) == (struct.id, struct.payload)
    change = models.SetPayload(payload=point.payload, filter=condition)
    sent = RestToGrpc.convert_update_operation(models.SetPayloadOperation(set_payload=change))
    chosen = GrpcToRest.convert_filter(sent.set_payload.points_selector.filter)
    assert plain(chosen) == plain(condition)


@pytest.mark.parametrize("key", INDEXES)
def test_an_index_survives(key: str) -> None:
    asked = _SCHEMA.validate_python(INDEXES[key])
    message = RestToGrpc.convert_payload_schema_params(asked)
    assert GrpcToRest.convert_payload_schema_params(message) == asked


def test_a_layout_survives() -> None:
    asked = _vectors_config(64, Layout(quantization="int8", prefix_dimensions=16))
    back = GrpcToRest.convert_vectors_config(RestToGrpc.convert_vectors_config(asked))
    assert back["dense"] == asked["dense"]
    assert back["prefix"].quantization_config.scalar.type == models.ScalarType.INT8
    assert (back["prefix"].size, back["prefix"].on_disk) == (16, True)
