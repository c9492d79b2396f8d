"""pygls' protocol with what the specification's lifecycle demands beyond it."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol, lsp_method

_NOT_INITIALIZED = -32002
_PARSE_ERROR = -32700
_INVALID_REQUEST = -32600
_INVALID_PARAMS = -32602
_DONE_WITH = object()
"""In a message's place: it was not what the protocol says, and whoever waits for it knows."""


class DoctorProtocol(LanguageServerProtocol):
    """pygls' protocol, with what it leaves out of the specification."""

    @lsp_method(lsp.INITIALIZE)
    def lsp_initialize(self, params: lsp.InitializeParams) -> Generator[Any, Any, lsp.InitializeResult]:
        """Settles on UTF-16, which every client must support: all positions of the engine are in it."""
        if params.capabilities.general:
            params.capabilities.general.position_encodings = [lsp.PositionEncodingKind.Utf16]
        return (yield from super().lsp_initialize(params))

    @lsp_method(lsp.SHUTDOWN)
    def lsp_shutdown(self, *args: Any) -> Generator[Any, Any, None]:
        """Lets our handler end what runs, and no more.

        pygls would then cancel the other requests while it walks over them, which fails with one in flight (2.1.1).
        """
        yield self.fm.features[lsp.SHUTDOWN], args, None
        self._shutdown = True

    @lsp_method(lsp.WORKSPACE_EXECUTE_COMMAND)
    async def lsp_workspace__execute_command(self, params: lsp.ExecuteCommandParams) -> Any:  # type: ignore[override]
        """Runs a command as the request's own task, which a cancel ends.

        pygls runs it beside: it would answer that the request is cancelled, and let the command go on (2.1.1).
        """
        handler, arguments, named = next(super().lsp_workspace__execute_command(params))
        return await handler(*arguments, **named)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Answers a request whose parameters are not the protocol's, and takes such an answer for an error.

        pygls would leave the one without an answer, and itself waiting for the other.
        """
        try:
            return super().structure_message(data)
        except JsonRpcException:
            method, msg_id = data.get("method"), data.get("id")
        words = f"the {f'parameters of `{method}`' if method else 'answer'} cannot be read as the protocol says"
        error = lsp.ResponseError(code=_INVALID_PARAMS, message=words)
        if msg_id is None:
            logging.getLogger(__name__).warning("Passed over: %s", words)
        elif method is None:
            self._handle_response(msg_id, error=error)
        else:
            self._send_response(msg_id, error=error)
        return _DONE_WITH

    def refuse_text(self, code: int = _PARSE_ERROR, words: str = "this is not JSON") -> None:
        """Answers what has no id that could be read, for which the specification has null."""
        self._send_data({"jsonrpc": self.VERSION, "id": None, "error": {"code": code, "message": words}})

    def handle_message(self, message: Any) -> None:
        """Answers what comes before `initialize`, a second one and what comes after `shutdown` with an error.

        pygls would fail inside the first, start anew with the second and leave the third without an answer.
        Notifications out of turn are dropped, but for `exit`.
        """
        method = getattr(message, "method", None)
        if message is _DONE_WITH:
            return
        if not hasattr(message, "jsonrpc"):
            self.refuse_text(_INVALID_REQUEST, "this is no message of JSON-RPC 2.0")
        elif method is None or method == lsp.EXIT:
            super().handle_message(message)
        elif self._shutdown:
            self._refuse(message, _INVALID_REQUEST, "the server is shutting down")
        elif (self._workspace is None) != (method == lsp.INITIALIZE):
            initialized = self._workspace is not None
            code, words = (_INVALID_REQUEST, "already") if initialized else (_NOT_INITIALIZED, "not yet")
            self._refuse(message, code, f"the server is {words} initialized")
        else:
            super().handle_message(message)

    def _handle_cancel_notification(self, msg_id: Any) -> None:
        """Lets a cancel that crosses the answer pass, as the specification does; pygls would warn in the user's log."""
        if msg_id in self._request_futures:
            super()._handle_cancel_notification(msg_id)

    def _refuse(self, message: Any, code: int, words: str) -> None:
        if (msg_id := getattr(message, "id", None)) is not None:
            self._send_response(msg_id, error=lsp.ResponseError(code=code, message=words))
