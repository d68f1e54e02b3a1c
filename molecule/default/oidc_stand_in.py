# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for an OIDC provider: discovery, authorize with PKCE, token with a signed id_token, keys.

Runs on the instance, in Open WebUI's own environment, for joserfc. Whoever says to be somebody is: `who` in the address
stands for the form in which people sign in. The client's id, its secret and its redirect URI come on the first lines of
the standard input.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
CLIENT, SECRET, REDIRECT = (line.strip() for line in sys.stdin.read().splitlines()[:3])
ISSUER = sys.argv[1]
CODES: dict[str, dict[str, str]] = {}


class Provider(BaseHTTPRequestHandler):
    """The answers."""

    def answer(self, status: int, content: Any = None, **headers: str) -> None:
        """Sends JSON, or a redirect."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        """Discovery, keys, and the form."""
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            kinds = {"response_types_supported": ["code"], "id_token_signing_alg_values_supported": ["RS256"]}
            self.answer(200, {"issuer": ISSUER, **{name: f"{ISSUER}/{path}" for name, path in ends.items()}, **kinds})
        elif parts.path == "/keys":
            self.answer(200, {"keys": [KEY.as_dict(private=False)]})
        elif parts.path == "/authorize":
            self.authorize(dict(parse_qsl(parts.query)))
        else:
            self.answer(404)

    def authorize(self, asked: dict[str, str]) -> None:
        """Lets a person in and sends the browser back with a code."""
        named = (asked.get("client_id"), asked.get("redirect_uri"), asked.get("response_type"))
        if named != (CLIENT, REDIRECT, "code") or asked.get("code_challenge_method") != "S256":
            return self.answer(400, {"error": "invalid_request"})
        if not {"openid", "email"} <= set(asked["scope"].split()):
            return self.answer(400, {"error": "invalid_scope"})
        code = secrets.token_urlsafe()
        CODES[code] = asked
        return self.answer(302, Location=f"{REDIRECT}?{urlencode({'code': code, 'state': asked['state']})}")

    def do_POST(self) -> None:
        """A token for a code, once, for the client that can prove that it asked."""
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        proof = f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"
        if self.path != "/token" or self.headers.get("Authorization") != proof:
            return self.answer(401, {"error": "invalid_client"})
        asked = CODES.pop(form.get("code", ""), {})
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked.get("code_challenge") != challenge or form.get("redirect_uri") != REDIRECT:
            return self.answer(400, {"error": "invalid_grant"})
        now, who = int(time.time()), asked["who"]
        claims = {"iss": ISSUER, "aud": CLIENT, "sub": f"id-of-{who}", "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], "email": who, "name": who.partition("@")[0].title()}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)
        return self.answer(200, {"access_token": "x", "token_type": "Bearer", "expires_in": 300, "id_token": token})


if __name__ == "__main__":
    HTTPServer(("", urlsplit(ISSUER).port or 80), Provider).serve_forever()
