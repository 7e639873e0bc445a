"""Webhooks: a signed POST of JSON, as https://www.standardwebhooks.com has it."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
import msgspec

from lamplighter.core.clock import Clock
from lamplighter.integrations.answer import read_retry_after
from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.channel import Refused, Undelivered
from lamplighter.integrations.notices.message import Message, Target
from lamplighter.integrations.notices.signature import signed_headers
from lamplighter.integrations.notices.wording import Telling
from lamplighter.integrations.trust import trust
from lamplighter.observe.tracing import http_request

TIMEOUT = 15  # seconds for all of it, the least that Standard Webhooks advises
MOST_CONNECTIONS = 100
GONE = 410

_sending = ContextVar("lamplighter_sending_webhook", default=False)


def webhook_client() -> httpx2.AsyncClient:
    """A client that keeps no cookies: what one receiver sets is none of another's business."""
    logging.getLogger("httpx2").addFilter(_names_no_webhook)  # the same one again changes nothing
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    limits = httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=0)
    return httpx2.AsyncClient(verify=trust(), cookies=jar, limits=limits, timeout=TIMEOUT, follow_redirects=False)


class WebhookSender:
    """Calls webhooks. Any 2xx means that it was taken; 410 that it is not wanted any more."""

    def __init__(self, http: httpx2.AsyncClient, *, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def send(self, message: Message | AlarmMessage, telling: Telling, target: Target) -> None:
        assert target.secret is not None, "a webhook has a secret from the beginning"
        body = body_of(message, telling)
        headers = signed_headers(target.secret, message.id, self._clock(), body)
        headers |= {"content-type": "application/json", "user-agent": "lamplighter"}
        status, retry_after = await self._post(target, body, headers)
        if 200 <= status < 300:
            return
        if status == GONE:
            raise Refused("the webhook answers 410: it is gone, so remove this recipient.")
        raise Undelivered(
            f"the webhook answers {status} instead of 2xx: see that its URL is right.",
            retry_after=read_retry_after(retry_after, self._clock()),
        )

    async def _post(self, target: Target, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """Status and Retry-After. The body of the answer is never read, however large it may be."""
        token = _sending.set(True)
        try:
            with http_request("POST", target.address.reveal()) as span:
                async with (
                    asyncio.timeout(TIMEOUT),
                    self._http.stream("POST", target.address.reveal(), content=body, headers=headers) as response,
                ):
                    span.answered(response.status_code)
                    return response.status_code, response.headers.get("Retry-After", "")
        except (httpx2.RequestError, OSError) as error:  # whose texts may have the URL; a TimeoutError is an OSError
            kind = type(error).__name__
            raise Undelivered(f"the webhook cannot be reached ({kind}): see that its URL is right.") from None
        finally:
            _sending.reset(token)


def body_of(message: Message | AlarmMessage, telling: Telling) -> bytes:
    """The JSON of a message, the same at each repeat."""
    data = _of_alarms(message, telling) if isinstance(message, AlarmMessage) else _of_notices(message, telling)
    return msgspec.json.encode({"type": message.type, "timestamp": message.created_at, "data": data})


def _of_alarms(message: AlarmMessage, telling: Telling) -> dict[str, object]:
    return {"subject": telling.subject, "to_do": telling.to_do, "count": message.count, "alerts": message.alarms}


def _of_notices(message: Message, telling: Telling) -> dict[str, object]:
    notices = [
        {
            "id": item.id,
            "integration_id": item.integration_id,
            "tenant": {"id": item.tenant_id, "name": item.tenant_name},
            "reason": item.reason,
            "at": item.at,
        }
        | ({"says": item.says, "facts": item.facts} if item.says else {})
        for item in message.items
    ]
    return {
        "subject": telling.subject,
        "to_do": telling.to_do,
        "link": telling.link,
        "provider": {"slug": message.provider_slug, "name": message.provider_name} if message.provider_slug else None,
        "count": message.notices,
        "integrations": message.integrations,
        "first_at": message.first_at,
        "last_at": message.last_at,
        "notices": notices,
    }


def _names_no_webhook(_record: logging.LogRecord) -> bool:
    """The client logs each URL that it calls, and that of a webhook may hold a secret."""
    return not _sending.get()
