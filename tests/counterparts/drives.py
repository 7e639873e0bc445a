"""Google Drive and OneDrive as npm's `google-drive-mock` and `microsoft-onedrive-mock` know them, each in a process.

Both open to the bearer tokens `valid-token` and `another-valid-token` and answer 401 to any other and to none; no token
expires, and a drive is empty at its start. Neither ever answers 403, 410, 429 or 5xx: put a fault proxy before it. Box
has no counterpart: npm has its OpenAPI document only in a directory of 413 MB, and prism to serve it takes 90 MB more.
"""

from __future__ import annotations

from pathlib import Path

from tests.counterparts.process import Server

from lamplighter.core.secret import Secret

GOOGLE_DRIVE = Path(__file__).with_name("google_drive.mjs")
ONEDRIVE = Path(__file__).with_name("onedrive.mjs")
TOKEN = Secret("valid-token")


class GoogleDrive(Server, frozen=True):
    """Version 3 of the API: files and their list with `q`, `orderBy`, `pageSize` and `pageToken`, changes, uploads.

    `about` ignores `fields`. `changes` has one page with everything since the token, never a `nextPageToken`; a token
    that cannot be read means the beginning. The 401 carries `code` and `message`, but not Google's `status`.
    """

    @property
    def health_url(self) -> str:
        """What says whether a token still opens the drive."""
        return f"{self.url}/drive/v3/about?fields=user"


class OneDrive(Server, frozen=True):
    """Version 1 of Microsoft Graph: items, their children with `$top` and `@odata.nextLink`, contents, delta.

    `delta` has one page with the latest state of all that changed since its `token`, never an `@odata.nextLink`;
    `token=latest` gives an empty one, and a token that cannot be read means the beginning. Links lead back to the host
    that was asked, so to a proxy if there is one. Unlike at Graph, the root is a child of its own, and a 401 says
    `unauthenticated` instead of `InvalidAuthenticationToken`.
    """

    @property
    def health_url(self) -> str:
        """What says whether a token still opens the drive. The answer is ours: the mock lacks this one path."""
        return f"{self.url}/v1.0/me/drive"
