"""The fields of KEDA's resources that its documentation names (version 2.12 and later), strictly.

`kubernetes-validate` knows what comes with Kubernetes; these are for the two kinds that KEDA adds.
A scaler's own metadata is checked by type: KEDA takes any, and a misspelt field would only be
noticed when nothing scales.
"""

from typing import Any

_COUNT = {"type": "integer", "minimum": 0}
_NAMED = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {"name": {"type": "string"}, "kind": {"type": "string"}},
}


def _strict(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _strict(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "keda.sh/v1alpha1"},
        kind={"const": kind},
        metadata={"type": "object", "required": ["name"]},
        spec=spec,
    )


_REDIS = {
    "address": {"type": "string", "pattern": r"^[\w.-]+:\d+$"},
    "databaseIndex": {"type": "string", "pattern": r"^\d+$"},
    "enableTLS": {"enum": ["true", "false"]},
}
_NUMBER = {"type": "string", "pattern": r"^[1-9]\d*$"}
_METADATA = {
    # Without a consumer group, KEDA takes the length of the stream.
    "redis-streams": _strict(
        ["address", "stream", "streamLength"],
        **_REDIS,
        stream={"type": "string"},
        streamLength=_NUMBER,
    ),
    "redis": _strict(
        ["address", "listName", "listLength"],
        **_REDIS,
        listName={"type": "string"},
        listLength=_NUMBER,
        activationListLength=_NUMBER,
    ),
}
_TRIGGER = {
    "oneOf": [
        _strict(
            ["type", "metadata"],
            type={"const": kind},
            name={"type": "string"},
            metadata=metadata,
            authenticationRef=_NAMED,
            metricType={"enum": ["AverageValue", "Value"]},
        )
        for kind, metadata in _METADATA.items()
    ]
}

SCHEMAS = {
    "ScaledObject": _resource(
        "ScaledObject",
        _strict(
            ["scaleTargetRef", "triggers"],
            scaleTargetRef=_strict(
                ["name"],
                apiVersion={"type": "string"},
                kind={"type": "string"},
                name={"type": "string"},
                envSourceContainerName={"type": "string"},
            ),
            pollingInterval=_COUNT,
            cooldownPeriod=_COUNT,
            initialCooldownPeriod=_COUNT,
            idleReplicaCount=_COUNT,
            minReplicaCount=_COUNT,
            maxReplicaCount=_COUNT,
            fallback=_strict(
                ["failureThreshold", "replicas"], failureThreshold=_COUNT, replicas=_COUNT
            ),
            advanced=_strict(
                [],
                restoreToOriginalReplicaCount={"type": "boolean"},
                horizontalPodAutoscalerConfig=_strict(
                    [], name={"type": "string"}, behavior={"type": "object"}
                ),
            ),
            triggers={"type": "array", "minItems": 1, "items": _TRIGGER},
        ),
    ),
    "TriggerAuthentication": _resource(
        "TriggerAuthentication",
        _strict(
            ["secretTargetRef"],
            secretTargetRef={
                "type": "array",
                "items": _strict(
                    ["parameter", "name", "key"],
                    parameter={"enum": ["username", "password"]},
                    name={"type": "string"},
                    key={"type": "string"},
                ),
            },
        ),
    ),
}
