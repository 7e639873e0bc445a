"""Mail (.eml)."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser

from lamplighter.families.files.extraction.document import Document, Found
from lamplighter.families.files.extraction.readers import html

_MOST_ATTACHMENTS = 20
_DEEPEST = 20  # parts within parts: no mail program makes more


def read(document: Document, found: Found) -> None:
    """Subject, sender and date, the text of its best part, and the names of what is attached."""
    head = BytesHeaderParser(policy=policy.default).parse(document.file)
    found.title, found.author = _header(head, "Subject"), _header(head, "From")
    found.created_at = _header(head, "Date")
    if receivers := _header(head, "To"):
        found.details["to"] = receivers
    document.file.seek(0)
    try:
        message = BytesParser(policy=policy.default).parse(document.file)
    except RecursionError:
        found.break_off("its parts are nested too deeply to be read.")
        return
    assert isinstance(message, EmailMessage)
    if names := _attachments(message):
        found.details["attachments"] = ", ".join(names)
    if (body := message.get_body(("plain", "html"))) is not None:
        _add(body, found)


def _header(message: object, name: str) -> str | None:
    try:
        value = message[name]  # type: ignore[index]
    except Exception:  # noqa: BLE001 - the standard library's parser of headers fails of some in its own ways
        return None
    return None if value is None else str(value)


def _attachments(message: EmailMessage, depth: int = 0) -> list[str]:
    names: list[str] = []
    for part in message.iter_parts() if depth < _DEEPEST and message.is_multipart() else ():
        if name := part.get_filename():
            names.append(name)
        elif isinstance(part, EmailMessage):
            names += _attachments(part, depth + 1)
        if len(names) >= _MOST_ATTACHMENTS:
            break
    return names[:_MOST_ATTACHMENTS]


def _add(body: object, found: Found) -> None:
    assert isinstance(body, EmailMessage)
    try:
        text = body.get_content()
    except (LookupError, ValueError):  # a charset that there is none of
        payload = body.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    if body.get_content_subtype() == "html":
        title = found.title
        html.read_pieces([text], found)
        found.title = title
    else:
        found.add(str(text))
