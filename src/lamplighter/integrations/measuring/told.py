"""What is measured as it happens: refreshes, messages and files, each in the transaction that stores how it went."""

from __future__ import annotations

from lamplighter.integrations.measuring.measure import Measurement


def of_refresh(integration_id: str, token_version: int, tenant_id: str, at: int) -> Measurement:
    """Tokens were stored over those of that version, which happens once."""
    return Measurement("refreshes.done", f"{integration_id}.{token_version}", tenant_id, at)


def of_message(message_id: str, tenant_id: str | None, at: int, failure: str | None) -> Measurement:
    """A message was sent, or given up. Those to operators are of no tenant."""
    metric = "notifications.sent" if failure is None else "notifications.failed"
    return Measurement(metric, message_id, tenant_id or "", at)


def of_file(file_id: int, tenant_id: str, at: int, *, is_failed: bool) -> Measurement:
    """A content of a file was read, or could not be."""
    return Measurement("files.failed" if is_failed else "files.indexed", f"{file_id}.{at}", tenant_id, at)
