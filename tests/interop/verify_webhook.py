#!/usr/bin/env python3
"""Verifies one webhook with the official Standard Webhooks library for Python.

Standard input: {"secret": "whsec_…", "headers": {"webhook-id": "…", …}, "body_base64": "…"}
Standard output: the `type` of the payload. The library takes timestamps within five minutes of the real clock only.
Exit code: 0 verified; 1 the library refuses it, or the payload has no type; 2 the check itself could not be made.
"""

import base64
import json
import sys


def fail(code, message):
    print(f"verify_webhook.py: {message}", file=sys.stderr)
    sys.exit(code)


def main():
    try:
        from standardwebhooks.webhooks import Webhook
    except ImportError as error:
        fail(2, f"{error}\nhint: run scripts/setup, and this script with target/interop-venv/bin/python")
    try:
        request = json.load(sys.stdin.buffer)
        secret, headers = request["secret"], dict(request["headers"])
        body = base64.b64decode(request["body_base64"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        fail(2, f"cannot read the request on standard input: {error!r}")
    # The library's exceptions have no base of their own, and it lets those of the standard library through.
    try:
        payload = Webhook(secret).verify(body, headers)
    except Exception as error:
        fail(1, f"refused: {error!r}")
    if not isinstance(payload, dict) or not isinstance(payload.get("type"), str):
        fail(1, "verified, but the payload is no object with a `type`")
    print(payload["type"])


if __name__ == "__main__":
    main()
