"""What shows a webhook's receiver that a call is ours: https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from lamplighter.core.secret import Secret

PREFIX = "whsec_"
KEY_BYTES = 32  # of the 24 to 64 that Standard Webhooks allows


def new_secret() -> Secret:
    """A fresh secret, as receivers put it into their verifier."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


def signed_headers(secret: Secret, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers: an id that a repeat has too, when this call was made, HMAC-SHA256 over both and the body."""
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
