"""Settings as text that is equal exactly when they are, and its digest."""

import hashlib
import json
from typing import Any


def canonical(settings: Any) -> str:
    """Settings as JSON that is equal exactly when they are."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(settings: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of canonical settings."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:16]


def whose(settings: dict[str, Any]) -> str:
    """Digest of a job's settings, by which its files are known; versions of stages only tell which are out of date."""
    return digest({key: value for key, value in settings.items() if key != "version"})
