"""`twofold mcp`: a client of the Model Context Protocol that starts a program, and our server.

Many desktop applications speak the protocol with a process of their own over its standard input
and output, one message a line. This passes their messages on to `/mcp` of a server and the answers
back. What the tools are is known to the server alone.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeAlias

from pydantic import JsonValue, TypeAdapter, ValidationError

from twofold.client import Client
from twofold.errors import TwofoldError

Message: TypeAlias = dict[str, JsonValue]

AT_ONCE = 8
"""Messages that are passed on side by side; more wait their turn."""

_PARSE_ERROR, _FAILED = -32700, -32000  # https://www.jsonrpc.org/specification#error_object
_VERSION = "io.modelcontextprotocol/protocolVersion"
_MESSAGE = TypeAdapter[Message](Message)


class Bridge:
    """Passes messages on until there are no more.

    Args:
        client: Of the server; shared by threads.
        write: Takes an answer, one line with its end.
    """

    def __init__(self, client: Client, write: Callable[[str], object]) -> None:
        self._client = client
        self._write = write
        self._lock = Lock()
        self._version: str | None = None

    def carry(self, lines: Iterable[str]) -> None:
        """Answer every message that wants an answer, in whichever order the answers come."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mcp") as pool:
            for line in lines:
                if line.strip():
                    pool.submit(self._carry, line)

    def _carry(self, line: str) -> None:
        try:
            message = _MESSAGE.validate_json(line)
        except ValidationError:
            self._say(_error(None, _PARSE_ERROR, "The line is no message of JSON-RPC."))
            return
        # The server remembers nobody, so what wants no answer tells it nothing.
        if "id" in message and "method" in message:
            self._say(self._answer(message))

    def _answer(self, message: Message) -> Message:
        try:
            answer = self._client.mcp(message, self._headers(message)).model_dump(mode="json")
        except TwofoldError as error:
            return _refusal(message, error.message)
        except Exception as error:
            return _refusal(message, f"{type(error).__name__}: {error}")
        self._note_version(message, answer)
        return answer

    def _headers(self, message: Mapping[str, JsonValue]) -> dict[str, str]:
        """What the protocol wants said in headers over HTTP, read from the message itself."""
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        meta = params.get("_meta")
        version = meta.get(_VERSION) if isinstance(meta, dict) else None
        said = {
            "Mcp-Protocol-Version": version or self._version,
            "Mcp-Method": message["method"],
            "Mcp-Name": params.get("name"),
        }
        return {
            name: value
            for name, value in said.items()
            if isinstance(value, str) and value.isascii() and value.isprintable()
        }

    def _note_version(self, message: Message, answer: Message) -> None:
        """Remember the version that client and server have agreed on."""
        result = answer.get("result")
        if message["method"] == "initialize" and isinstance(result, dict):
            version = result.get("protocolVersion")
            self._version = version if isinstance(version, str) else None

    def _say(self, answer: Message) -> None:
        with self._lock:
            self._write(json.dumps(answer) + "\n")


def _refusal(message: Message, sentence: str) -> Message:
    """Why there is no answer: to a tool's call where the model reads it, else as an error."""
    if message["method"] != "tools/call":
        return _error(message["id"], _FAILED, sentence)
    content: JsonValue = [{"type": "text", "text": sentence}]
    result: JsonValue = {"content": content, "isError": True, "resultType": "complete"}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _error(message_id: JsonValue, code: int, sentence: str) -> Message:
    error: JsonValue = {"code": code, "message": sentence}
    return {"jsonrpc": "2.0", "id": message_id, "error": error}
