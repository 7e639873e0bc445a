"""Errors as RFC 9457 has them, for whoever accepts that."""

from __future__ import annotations

import pytest
from tests.web.site import Site

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("who", "path", "expected"),
    [
        (None, "/jobs", (401, "auth/unauthorized", "Unauthorized")),
        ("owner", "/workers", (403, "auth/insufficient-permissions", "Forbidden")),
        ("viewer", "/nowhere", (404, "route/not-found", "Not Found")),
        ("viewer", "/jobs?limit=0", (400, "validation/invalid-input", "Bad Request")),
    ],
)
async def test_an_error_is_a_problem_document_where_that_is_accepted(
    site: Site, who: str | None, path: str, expected: tuple[int, str, str]
) -> None:
    status, code, title = expected
    async with site.calling(who) as client:
        plain = await client.get(path)
        answer = await client.get(path, headers={"Accept": f"{PROBLEM}, application/json;q=0.5"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM)
    error, problem = plain.json()["error"], answer.json()
    assert problem.pop("type") == f"urn:lamplighter:error:{code}"
    assert problem.pop("title") == title
    assert problem.pop("status") == status
    assert problem.pop("detail") == error.pop("message")
    assert problem == error  # code, and the details if there are some
    assert answer.headers["Vary"] == plain.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["application/json", "*/*", f"{PROBLEM};q=0", "text/html, application/xml;q=0.9"])
async def test_others_get_the_envelope(site: Site, accept: str) -> None:
    async with site.calling("viewer") as client:
        answer = await client.get("/nowhere", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]["code"] == "route/not-found"


async def test_a_body_that_is_too_large_is_a_problem_too(site: Site) -> None:
    async with site.calling("viewer") as client:
        answer = await client.post("/jobs", headers={"Accept": PROBLEM}, content=b"x" * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "validation/too-large")
