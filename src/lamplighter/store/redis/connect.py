"""From an address to a connection that is ready: reached, trusted, logged in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import hiredis

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.store.redis.errors import Away, explain, explain_database, explain_login, show
from lamplighter.store.redis.url import Address, Place, Tls
from lamplighter.store.redis.wire import Lost, Wire

Hear = Callable[[list[Any]], None]


async def connect(place: Place, address: Address, *, timeout: float, hear: Hear | None = None) -> Wire:
    """A connection to the Redis server at this address.

    Raises:
        Away: it cannot be reached, or is not ready.
        StoreUnavailable: it does not let us in.
        ConfigError: it is no Redis server, has no such database, or is not trusted.
    """
    return await _connect(place, address, place.username, place.password, place.db, timeout=timeout, hear=hear)


async def connect_sentinel(place: Place, address: Address, *, timeout: float) -> Wire:
    """A connection to the Sentinel at this address. Raises what `connect` does."""
    return await _connect(place, address, place.sentinel_username, place.sentinel_password, 0, timeout=timeout)


async def _connect(
    place: Place,
    address: Address,
    username: str | None,
    password: Secret | None,
    db: int,
    *,
    timeout: float,
    hear: Hear | None = None,
) -> Wire:
    wire = Wire(patience=place.patience, hear=hear)
    try:
        async with asyncio.timeout(timeout):
            await _reach(wire, address, place.tls)
            await _log_in(wire, address, username, password)
            await _choose(wire, address, db)
    except Lost as error:
        raise _explain_loss(wire, address) from error
    except ssl.SSLError as error:
        raise ConfigError(f"the server at {show(address)} is not to be trusted: {_reason(error)}.") from error
    except TimeoutError as error:
        wire.close()
        raise Away(f"the Redis server at {show(address)} did not answer within {timeout:.3g} s: is it up?") from error
    except OSError as error:
        raise Away(f"the Redis server at {show(address)} cannot be reached: {_system(error)}. Is it up?") from error
    except BaseException:
        wire.close()
        raise
    return wire


async def _reach(wire: Wire, address: Address, tls: Tls | None) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(address, str):
        await loop.create_unix_connection(lambda: wire, address)
        return
    host, port = address
    context = None if tls is None else await asyncio.to_thread(_context, tls)
    transport, _ = await loop.create_connection(lambda: wire, host, port, ssl=context)
    _keep_alive(transport)


def _keep_alive(transport: asyncio.Transport) -> None:
    """Routers forget connections over which nothing goes."""
    import socket  # noqa: PLC0415 - only constants

    if (endpoint := transport.get_extra_info("socket")) is not None:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates that the store URL names cannot be read: {_reason(error)}.") from error
    if tls.verify != "full":
        context.check_hostname = False
    if tls.verify == "none":
        context.verify_mode = ssl.CERT_NONE
    return context


async def _log_in(wire: Wire, address: Address, username: str | None, password: Secret | None) -> None:
    if password is None:
        return
    user = () if username is None else (username,)
    reply = await wire.ask("AUTH", *user, password.reveal())
    if isinstance(reply, hiredis.ReplyError):
        raise explain_login(reply, address)


async def _choose(wire: Wire, address: Address, db: int) -> None:
    wire.tell("CLIENT", "SETNAME", "lamplighter")  # for who looks at CLIENT LIST; no matter if it is refused
    reply = await wire.ask("SELECT", db) if db else await wire.ask("PING")
    if isinstance(reply, hiredis.ReplyError):
        raise explain_database(reply, address, db) if db else explain(reply, address)


def _explain_loss(wire: Wire, address: Address) -> Exception:
    if isinstance(wire.lost, hiredis.ProtocolError):
        return ConfigError(f"the server at {show(address)} does not speak as Redis does: correct the store URL.")
    if isinstance(wire.lost, ssl.SSLError):
        return ConfigError(f"the server at {show(address)} is not to be trusted: {_reason(wire.lost)}.")
    return Away(
        f"the Redis server at {show(address)} closed the connection: does it want TLS (rediss://), or has it no room?"
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or error).rstrip(".")


def _system(error: OSError) -> str:
    return (error.strerror or str(error)).rstrip(".")
