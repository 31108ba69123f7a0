"""Encrypts the stored data of people's accounts."""

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Vault:
    """Encrypts data with the first of several keys. Decrypts data with any of the keys, but only for the owner for whom
    it was encrypted."""

    def __init__(self, keys: Iterable[str]) -> None:
        keys = tuple(keys)
        self._fernets = [Fernet(key) for key in keys]
        self._multi_fernet = MultiFernet(self._fernets)
        self._first_key = keys[0].encode()

    def derive_letters(self, text: str, alphabet: str, length: int) -> str:
        """Derives letters from a text and the first key, so that nobody without the key can compute them."""
        digest = int.from_bytes(
            hmac.digest(self._first_key, f"letters {text}".encode("utf-8", "surrogatepass"), "sha256")
        )
        return "".join(alphabet[digest // len(alphabet) ** index % len(alphabet)] for index in range(length))

    def encrypt(self, owner: Sequence[str], content: Mapping[str, Any]) -> str:
        return self._multi_fernet.encrypt(json.dumps([list(owner), content]).encode()).decode()

    def decrypt(self, owner: Sequence[str], secret: str, max_age_s: int | None = None) -> Mapping[str, Any] | None:
        """Returns the decrypted content, or None if it belongs to another owner or is too old, or if its key was
        removed."""
        try:
            encrypted_for, content = json.loads(self._multi_fernet.decrypt(secret, max_age_s))
        except InvalidToken:
            return None
        return dict(content) if encrypted_for == list(owner) else None

    def key_index(self, secret: str) -> int | None:
        """Returns the index of the key that decrypts a secret, or None if that key was removed. Key 0 is used for
        encryption."""
        for index, key in enumerate(self._fernets):
            with suppress(InvalidToken):
                key.decrypt(secret)
                return index
        return None

    def reencrypt(self, secret: str) -> str:
        return self._multi_fernet.rotate(secret).decode()
