"""From error to response: the one table of statuses, and the one shape of body."""

import errno
import logging
import math
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from twofold import errors
from twofold.errors import TwofoldError
from twofold.schema import ErrorBody, ErrorInfo

log = logging.getLogger(__name__)

STATUS: Mapping[type[TwofoldError], int] = {
    errors.MalformedRequest: 400,
    errors.RequestError: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.TooSlow: 408,
    errors.TooLarge: 413,
    errors.UnsupportedFormat: 415,
    errors.InvalidRequest: 422,
    errors.TooManyRequests: 429,
    errors.NotServed: 501,
    errors.Unavailable: 503,
    errors.DeadlineExceeded: 504,
    errors.StorageFull: 507,
    TwofoldError: 500,
}
"""Status of each class; a class that is not here has the status of its nearest ancestor."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def status_of(error: TwofoldError) -> int:
    """Status of an error, by its class or the nearest ancestor in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def info_of(error: TwofoldError, request_id: str | None) -> ErrorInfo:
    """An error as it travels."""
    return ErrorInfo(
        code=error.code, message=error.message, details=error.details, request_id=request_id
    )


def response_of(error: TwofoldError, request_id: str | None) -> JSONResponse:
    """The answer that carries an error."""
    body = ErrorBody(error=info_of(error, request_id))
    return JSONResponse(body.model_dump(mode="json"), status_of(error), headers=headers_of(error))


def headers_of(error: TwofoldError) -> dict[str, str]:
    """What HTTP wants said beside the status."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 11.6.1
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = str(error.details["allowed"])  # RFC 9110, section 15.5.6
    return headers


def install(app: FastAPI) -> None:
    """Make every failure of the app leave in the one shape."""

    @app.exception_handler(TwofoldError)
    async def _ours(request: Request, error: TwofoldError) -> JSONResponse:
        return response_of(error, request.state.request_id)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return response_of(from_validation(error), request.state.request_id)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return response_of(from_http(error, request), request.state.request_id)

    @app.exception_handler(OSError)
    async def _disk(request: Request, error: OSError) -> JSONResponse:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = errors.StorageFull(path=error.filename or "the data folder")
            return response_of(full, request.state.request_id)
        return await _unforeseen(request, error)

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, error: ClientDisconnect) -> JSONResponse:  # noqa: ARG001
        gone = errors.MalformedRequest(reason="the connection ended before the body did")
        return response_of(gone, request.state.request_id)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("request %s failed", request.state.request_id, exc_info=error)
        return response_of(TwofoldError(), request.state.request_id)


def from_validation(error: RequestValidationError) -> TwofoldError:
    """The first thing that is wrong with a request, as a sentence without the caller's data."""
    first = error.errors()[0]
    if first["type"] == "json_invalid" and isinstance(first["loc"][-1], int):
        return errors.MalformedRequest(
            reason=f"it is not valid JSON ({first['ctx']['error']} at character {first['loc'][-1]})"
        )
    # Union branches add noise like `function-after[...]` to the path; people want the field.
    path = [str(part) for part in first["loc"] if str(part).isidentifier() or isinstance(part, int)]
    field = ".".join(path[1:] if path[:1] in (["body"], ["query"], ["path"]) else path) or "body"
    if path == ["header"]:  # the name of a header is no identifier
        field = str(first["loc"][-1])
    reason = str(first["msg"]).removeprefix("Value error, ")
    return errors.InvalidRequest(field=field, reason=reason[:1].lower() + reason[1:])


def taken(request: Request) -> list[str]:
    """The methods that the path of a request takes.

    The framework knows those of the first route that has the path, and a path may have several.
    """
    scopes = ({**request.scope, "method": method} for method in METHODS)
    return [
        scope["method"]
        for scope in scopes
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


def from_http(error: HTTPException, request: Request) -> TwofoldError:
    """What the framework raises by itself, in our words."""
    if isinstance(error.__cause__, TwofoldError):
        return error.__cause__
    match error.status_code:
        case 404:
            return errors.NotFound(path=request.url.path)
        case 405:
            path, allowed = request.url.path, ", ".join(taken(request))
            return errors.MethodNotAllowed(method=request.method, path=path, allowed=allowed)
        case 400 if isinstance(error.__cause__, UnicodeDecodeError):
            return errors.MalformedRequest(reason="it is not valid UTF-8")
        case 400 if isinstance(error.__cause__, RecursionError):
            return errors.MalformedRequest(reason="it nests too deep")
        case _:
            return errors.MalformedRequest(reason=str(error.detail))
