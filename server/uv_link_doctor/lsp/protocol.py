"""pygls' protocol with what the specification's lifecycle demands beyond it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from lsprotocol import types as lsp
from pygls.protocol import LanguageServerProtocol, lsp_method

_NOT_INITIALIZED = -32002
_INVALID_REQUEST = -32600


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

    def handle_message(self, message: Any) -> None:
        """Answers what comes before `initialize`, a second one and what comes after `shutdown` with an error.

        pygls would fail inside the first, start anew with the second and leave the third without an answer.
        Notifications out of turn are dropped, but for `exit`.
        """
        method = getattr(message, "method", None)
        if method is None or method == lsp.EXIT:
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
