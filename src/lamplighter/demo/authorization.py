"""One provider's OAuth 2.0 authorization server: Authlib's, told where this world keeps its codes and tokens."""

# Authlib ships no types: its classes are Any here, and only here.
# mypy: disable-error-code="import-untyped", allow-subclassing-any
from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from authlib.oauth2.rfc6749 import AuthorizationServer as BaseServer
from authlib.oauth2.rfc6749 import OAuth2Error, OAuth2Request, ResourceProtector, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator, BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from lamplighter.demo.catalog import DemoProvider
from lamplighter.demo.families import Families, Family, Token
from lamplighter.demo.grants import TokenGrant

CODE_LIFETIME = 60  # seconds
MOST_CODES = 1_000  # codes waiting to be exchanged; past it the oldest is dropped

BOTH_WAYS = ["client_secret_basic", "client_secret_post"]  # where Authlib looks for a secret; the client allows one


class Answer(NamedTuple):
    """What to answer over HTTP; `body` is JSON, or empty text."""

    status: int
    body: dict[str, Any] | str
    headers: list[tuple[str, str]]

    @property
    def outcome(self) -> str:
        """`ok`, or the OAuth error code."""
        return str(self.body.get("error", "ok")) if isinstance(self.body, dict) else "ok"


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization code waiting to be exchanged; names as Authlib reads them."""

    code: str
    user: str
    scope: str
    redirect_uri: str | None
    code_challenge: str | None
    code_challenge_method: str | None
    expires_at: float

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class Client:
    """The provider's one client, as Authlib asks about it."""

    def __init__(self, provider: DemoProvider) -> None:
        self._provider = provider
        self._auth_method = {"body": "client_secret_post", "basic": "client_secret_basic"}[provider.client_auth]

    def get_default_redirect_uri(self) -> None:
        return None

    def check_redirect_uri(self, uri: str) -> bool:
        """Loopback only (RFC 8252, section 7.3: any port), so that no code ever leaves this machine."""
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"} and not parts.fragment

    def check_client_secret(self, secret: str) -> bool:
        return hmac.compare_digest(secret.encode(), self._provider.client_secret.encode())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == self._auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {"authorization_code", "refresh_token"}

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """What was asked for, or everything when nothing was; None (refused) when it is more than the provider has."""
        asked = scope.split() if scope else self._provider.scopes
        return " ".join(asked) if set(asked) <= set(self._provider.scopes) else None


class FormRequest(OAuth2Request):
    """An HTTP request whose parameters have been read. Authlib insists on TLS, except towards a loopback address."""

    def __init__(self, method: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, "http://127.0.0.1/", headers=headers)
        self.payload = BasicOAuth2Payload(parameters)

    @property
    def form(self) -> Any:
        return self.payload.data


class CodeGrant(grants.AuthorizationCodeGrant):
    """authorization_code: one user's consent, exchanged once."""

    TOKEN_ENDPOINT_AUTH_METHODS = BOTH_WAYS

    def save_authorization_code(self, code: str, request: Any) -> None:
        self.server.keep_code(
            Code(
                code=code,
                user=request.user,
                scope=request.scope,
                redirect_uri=request.payload.redirect_uri,
                code_challenge=request.payload.data.get("code_challenge"),
                code_challenge_method=request.payload.data.get("code_challenge_method"),
                expires_at=time.monotonic() + CODE_LIFETIME,
            )
        )

    def query_authorization_code(self, code: str, _client: Client) -> Code | None:
        found: Code | None = self.server.codes.get(code)
        return found if found and time.monotonic() < found.expires_at else None

    def delete_authorization_code(self, code: Code) -> None:
        del self.server.codes[code.code]

    def authenticate_user(self, code: Code) -> Family:
        """Tokens are issued to a family, so the user that Authlib passes on to the generators is one."""
        family: Family = self.server.families.open(code.user, code.scope)
        return family


class RefreshGrant(grants.RefreshTokenGrant):
    """refresh_token: the next tokens of a family."""

    TOKEN_ENDPOINT_AUTH_METHODS = BOTH_WAYS

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:  # noqa: N802 - Authlib's name
        return bool(self.server.provider.rotates)

    def authenticate_refresh_token(self, text: str) -> Token | None:
        token: Token | None = self.server.families.redeem(text)
        return token

    def authenticate_user(self, token: Token) -> Family:
        return token.family

    def revoke_old_credential(self, token: Token) -> None:
        """Nothing left to do: issuing the next refresh token has spent this one."""


class Revocation(RevocationEndpoint):
    """Either token ends its whole family."""

    CLIENT_AUTH_METHODS = BOTH_WAYS

    def query_token(self, text: str, _hint: str | None) -> Token | None:
        families: Families = self.server.families
        return families.read(text, "refresh") or families.read(text, "access")

    def revoke_token(self, token: Token, _request: Any) -> None:
        token.family.revoked = True


class DriveToken(BearerTokenValidator):
    """Reads the access token of a request to the drive."""

    def __init__(self, families: Families, realm: str) -> None:
        super().__init__(realm=realm)
        self._families = families

    def authenticate_token(self, text: str) -> Token | None:
        return self._families.read(text, "access")


class AuthorizationServer(BaseServer):
    """Consents, tokens and their end at one provider."""

    def __init__(self, provider: DemoProvider, families: Families) -> None:
        super().__init__()
        self.provider = provider
        self.families = families
        self.codes: dict[str, Code] = {}
        self._client = Client(provider)
        self._drive = ResourceProtector()
        self._drive.register_token_validator(DriveToken(families, provider.slug))
        self.register_grant(CodeGrant, [CodeChallenge()])
        self.register_grant(RefreshGrant)
        self.register_endpoint(Revocation)
        self.register_token_generator("default", self._generator())

    def authorize(self, parameters: Mapping[str, str], user: str | None) -> Answer:
        """Consent without a page: a redirect with a code, or with `access_denied` if there is no user."""
        request = FormRequest("GET", parameters, {})
        try:
            grant = self.get_authorization_grant(request)
        except OAuth2Error as error:
            return self.handle_response(*error())
        answer: Answer = self.create_authorization_response(request, grant_user=user, grant=grant)
        return answer

    def token(self, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Tokens for a code or for a refresh token."""
        answer: Answer = self.create_token_response(FormRequest("POST", form, headers))
        return answer

    def grant(self, user: str) -> TokenGrant:
        """The tokens of a user who consents to everything: what the way by code and token endpoint ends in."""
        family = self.families.open(user, " ".join(self.provider.scopes))
        lifetime = self.provider.token_lifetime
        return TokenGrant(
            access_token=self.families.issue_access(family, lifetime),
            refresh_token=self.families.issue_refresh(family),
            expires_in=lifetime,
            scope=family.scope,
        )

    def revoke(self, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """The end of a token's family (RFC 7009: an unknown token is a success)."""
        answer: Answer = self.create_endpoint_response("revocation", FormRequest("POST", form, headers))
        return answer

    def admit(self, headers: Mapping[str, str]) -> str | Answer:
        """The user behind a request to the drive, or the 401 to answer it with."""
        try:
            token: Token = self._drive.validate_request(None, FormRequest("GET", {}, headers))
        except OAuth2Error as error:
            return self.handle_response(*error())
        return token.family.user

    def keep_code(self, code: Code) -> None:
        """Keep a code until it is exchanged, expires, or is the oldest of too many."""
        self.codes[code.code] = code
        if len(self.codes) > MOST_CODES:
            del self.codes[next(iter(self.codes))]

    def query_client(self, client_id: str) -> Client | None:
        return self._client if client_id == self.provider.client_id else None

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Nothing to save: tokens are read from themselves."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def handle_response(self, status: int, body: dict[str, Any] | str, headers: list[tuple[str, str]]) -> Answer:
        return Answer(status, body, headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def _generator(self) -> Any:
        def access(user: Family, **_: Any) -> str:
            return self.families.issue_access(user, self.provider.token_lifetime)

        def refresh(user: Family, **_: Any) -> str:
            return self.families.issue_refresh(user)

        return BearerTokenGenerator(access, refresh, self.provider.token_lifetime)
