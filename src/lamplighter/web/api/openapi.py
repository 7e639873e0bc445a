"""`/openapi.json`: the API's description. It is the same everywhere and holds no data: nobody has to sign in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.web import answers
from lamplighter.web.describing.shows import shows

PATH = "/openapi.json"

router = APIRouter()


@router.get(PATH)
@shows(dict[str, Any], bare=True)
async def get_description(request: Request) -> Response:
    """This document: what there is to ask, and what is answered."""
    mounted_at = request.scope.get("root_path") or "/"
    return answers.document(request.app.openapi() | {"servers": [{"url": mounted_at}]})
