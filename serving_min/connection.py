"""The protocol of a connection: uvicorn's, which keeps to HTTP/1.1."""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

INVALID = "Invalid HTTP request received."


class Connection(HttpToolsProtocol):
    """Who asks for another protocol is answered in this one, as RFC 9110 (7.8) allows: body and all that follows are
    read as of any request. The parser alone would take such a head for the end of HTTP."""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":  # this is no proxy
                    self.send_400_response(INVALID)
                    return
                data = self._begin_again() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.logger.warning(INVALID)
                self.send_400_response(INVALID)
                return
            else:
                return

    def on_headers_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _begin_again(self) -> bytes:
        """The head just read, without its ``Upgrade``, for a parser that has read nothing."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        return b"\r\n".join([*lines, b"", b""])
