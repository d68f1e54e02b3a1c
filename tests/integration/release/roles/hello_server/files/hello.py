# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that answers with the folder it was started from and the word of its settings."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SAYS = f"{Path(__file__).resolve().parent.name} {os.environ['WORD']}".encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(SAYS)


HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
