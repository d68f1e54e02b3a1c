# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the parts of an upload, as loosely as clients write them, and in bounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from .errors import ApiError
from .guards import no_storage

MAX_FIELD = 65536  # bytes of one field
MAX_FIELDS = 50
MAX_HEADERS = 65536  # bytes of the headers of all parts
MAX_PREAMBLE = 8192  # bytes before the first boundary, which RFC 2046 tells readers to skip


async def read(request: Request) -> FormData:
    """The form of a request: fields as text, and one file, which request.close() closes."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise ApiError(415, "the request must be multipart/form-data")
    if not (boundary := options.get(b"boundary")):
        raise ApiError(400, "the header Content-Type names no boundary")
    stream = _from_boundary(request.stream(), b"--" + boundary)
    try:
        request._form = await _Parser(request.headers, stream, max_files=1, max_fields=MAX_FIELDS).parse()
    except MultiPartException as error:
        raise ApiError(400, f"the multipart body cannot be read: {error.message}") from None
    except (KeyError, ValueError):
        raise ApiError(400, "the multipart body cannot be read") from None
    except OSError as error:
        raise no_storage(error) from None
    return request._form


class _Parser(MultiPartParser):
    """Takes the part 'file' for a file whether it has a file name or not, and names the field that is too large."""

    header_bytes = 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        super().on_header_field(data, start, end)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        super().on_header_value(data, start, end)

    def _count(self, size: int) -> None:
        self.header_bytes += size
        if self.header_bytes > MAX_HEADERS:
            raise ApiError(
                400, f"the headers of the parts are larger than {MAX_HEADERS} bytes", code="headers_too_large"
            )

    def on_headers_finished(self) -> None:
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name") == b"file" and b"filename" not in options:
            part.content_disposition = b'form-data; name="file"; filename="file"'
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > MAX_FIELD:
            name = part.field_name[:100]
            raise ApiError(400, f"the field '{name}' is larger than {MAX_FIELD} bytes", name, "field_too_large")
        super().on_part_data(data, start, end)


async def _from_boundary(stream: AsyncGenerator[bytes, None], boundary: bytes) -> AsyncGenerator[bytes, None]:
    """What is sent, from its first line that is a boundary."""
    head = b""
    async for chunk in stream:
        head += chunk
        start = 0 if head.startswith(boundary) else head.find(b"\n" + boundary) + 1
        if start or head.startswith(boundary):
            yield head[start:]
            break
        if len(head) > MAX_PREAMBLE:
            break
    else:
        yield head
    async for chunk in stream:
        yield chunk
