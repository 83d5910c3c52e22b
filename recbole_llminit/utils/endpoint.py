"""Client of a server with OpenAI's protocol: checks the address, limits the pace, explains errors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse

from recbole_llminit.utils.errors import UserError

KEY = "OPENAI_API_KEY"
_RETRIES = 6  # openai waits between them, longer each time, or as the server's Retry-After says


class Endpoint:
    """A connection to one model behind an endpoint.

    The API key is read from the environment variable OPENAI_API_KEY and written nowhere.

    Args:
        base_url: Address of the server, such as ``https://host/v1``.
        option: Name of the config key or flag that holds the address, for messages.
        model: The server's name of the model.
        per_minute: Largest number of requests per minute, retries included; None sets no limit.
        advice: What the user can do after a failed request; it ends the error message.

    Attributes:
        client: The client of the package openai, which waits before each request to respect `per_minute`.

    Raises:
        ImportError: If openai is not installed.
        UserError: If `base_url` is no address, or holds a password or a query; or if the API key is not
            printable ASCII.
    """

    def __init__(
        self, base_url: str | None, option: str, model: str, per_minute: float | None, advice: str
    ) -> None:
        try:
            import openai
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{option} needs openai: pip install 'recbole-llminit[api]'", name="openai"
            ) from error
        _check_url(base_url, option)
        pace = self._pace

        class Paced(openai.OpenAI):  # type: ignore[misc]
            def _prepare_request(self, request: Any) -> None:
                pace()  # openai calls this before each retry too

        self.client: Any = Paced(base_url=base_url, api_key=_key() or "none", max_retries=_RETRIES)
        self._errors = openai
        self._url, self._model, self._advice = base_url, model, advice
        self._pause = 60 / per_minute if per_minute else 0.0  # seconds between requests
        self._last = 0.0

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn errors of a request, and of reading its answer within the block, into one-line errors.

        Raises:
            UserError: If the server refuses, still fails after all retries, or answers in another format.
        """
        try:
            yield
        except (self._errors.AuthenticationError, self._errors.PermissionDeniedError) as error:
            raise UserError(f"{self._url} refuses the key in {KEY} ({error.status_code})") from None
        except self._errors.APIStatusError as error:
            raise UserError(
                f"{self._url} answers {error.status_code} to model '{self._model}' "
                f"({_reason(error)}); {self._advice}"
            ) from None
        except (self._errors.APIError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise UserError(
                f"{self._url} can't be reached or does not speak OpenAI's protocol "
                f"({_reason(error)}); {self._advice}"
            ) from None

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _pace(self) -> None:
        time.sleep(max(0.0, self._last + self._pause - time.monotonic()))
        self._last = time.monotonic()


def _check_url(base_url: str | None, option: str) -> None:
    """Refuse an invalid address, or one with a password or query, which would be written to a card."""
    try:
        url = urlparse(base_url or "")
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # urlparse refuses unmatched brackets and invalid ports
        usable = False
    if not usable:
        raise UserError(f"{option} '{base_url}' is no URL like https://host/v1")
    if url.username or url.password or url.query:
        raise UserError(f"{option} holds a password or a query; put the key into {KEY} instead")


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())  # a server may repeat the API key, which is masked below
    return (words.replace(key, "***") if (key := _key()) else words)[:120]


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UserError(f"{KEY} holds characters that no key has")
    return key
