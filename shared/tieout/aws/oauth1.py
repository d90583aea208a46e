"""OAuth 1.0a with HMAC-SHA256, which NetSuite's token-based authentication asks for; through Authlib (RFC 5849).

Loaded only by an account that uses it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from authlib.oauth1.rfc5849.client_auth import ClientAuth
from authlib.oauth1.rfc5849.signature import generate_signature_base_string

if TYPE_CHECKING:
    from tieout.aws.auth import OAuth1

METHOD: Final = "HMAC-SHA256"


def _sign(client: Any, request: Any) -> str:
    """The signature over the base string of section 3.4.1; Authlib itself stops at SHA-1."""
    key = f"{quote(client.client_secret, safe='~')}&{quote(client.token_secret, safe='~')}"
    mark = hmac.new(key.encode(), generate_signature_base_string(request).encode(), hashlib.sha256)
    return base64.b64encode(mark.digest()).decode()


class _Client(ClientAuth):  # type: ignore[misc]  # Authlib has no types
    """Authlib's client with the newer digest, and the house's clock in the place of the machine's."""

    SIGNATURE_METHODS: ClassVar[dict[str, Any]] = {METHOD: _sign}
    stamp = ""

    def get_oauth_params(self, nonce: str, timestamp: str) -> Any:
        return super().get_oauth_params(nonce, self.stamp)


def authorization(who: OAuth1, method: str, url: str, stamp: str) -> str:
    """The ``Authorization`` header of one request; ``stamp`` is its time in seconds since 1970."""
    client = _Client(
        who.consumer_key, who.consumer_secret, who.token, who.token_secret, signature_method=METHOD, realm=who.realm
    )
    client.stamp = stamp
    _, headers, _ = client.sign(method, url, {}, b"")
    return str(headers["Authorization"])
