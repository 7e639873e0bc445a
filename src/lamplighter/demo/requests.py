"""What a provider of the demo world was asked, in numbers: never a token."""

from __future__ import annotations

import msgspec


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the world started."""

    token_requests: int
    outcomes: dict[str, int]  # of token requests: `ok`, `outage`, or the OAuth error code
    refreshes: dict[str, int]  # refresh requests by user, whatever came of them (during an outage nothing is read)
    refused: dict[str, int]  # those that came after the user's revocation
    turned_away: int  # during outages: requests of any kind
    reuses: int  # families revoked because a spent refresh token came back
