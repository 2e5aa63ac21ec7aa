"""What the schema says of refusals: for every operation, by what it takes, in one shape.

Views name their successes and the refusals that are theirs alone (409, 503). Those that follow from
the floor under all of them (who may come in, what a body must be) are added here, so that no
view can forget one and none is promised where it can't come.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_ERROR: Schema = {
    "type": "object",
    "description": "Every answer that is not a success.",
    "properties": {
        "code": {"type": "string", "description": "Never changes; programs may match on it."},
        "message": {"type": "string", "description": "One sentence for people."},
        "fields": {"description": "What is wrong with which field, where input was refused."},
    },
    "required": ["code", "message"],
}

_ASKED = {
    "400": "The request cannot be understood.",
    "401": "Nobody has signed in, or the token holds no more.",
    "403": "The role or the token does not allow that.",
    "404": "There is no such thing, or none that you may know of.",
    "406": "The answer cannot be given in the form that was asked for.",
    "409": "The present state does not allow that; look again.",
    "413": "The request is too large.",
    "415": "The body is of a kind that is not understood here.",
    "422": "The values sent do not make sense.",
    "429": "Too many requests; wait as long as Retry-After says.",
}


def describe_refusals(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """One of drf-spectacular's ``POSTPROCESSING_HOOKS``."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    for path, operations in result.get("paths", {}).items():
        for method, operation in operations.items():
            said = operation.setdefault("responses", {})
            for status in _statuses(method, path, operation):
                said.setdefault(status, _refusal(_ASKED[status]))
            operation["responses"] = dict(sorted(said.items()))
    return result


def _statuses(method: str, path: str, operation: Schema) -> list[str]:
    """The refusals that can come of what the operation takes."""
    # 401 also where anybody may ask: a token that holds no more is refused before that.
    found = ["401", "406", "429"]
    if operation.get("security") and {} not in operation["security"]:
        found += ["403"]
    if "{" in path:
        found += ["404"]
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        found += ["400", "422"]
    if method != "get":
        found += ["409"]
    if "requestBody" in operation:
        found += ["400", "404", "413", "415", "422"]
    return found


def _refusal(sentence: str) -> Schema:
    return {
        "description": sentence,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
