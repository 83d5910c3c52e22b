"""A server that speaks OpenAI's protocol: its address, its pace, and its errors in one line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse

from recbole_llminit.utils.errors import UserError

KEY = "OPENAI_API_KEY"
_RETRIES = 6  # with back-off, and as long as the server's Retry-After says


class Endpoint:
    """A model behind an endpoint. The key is read from the environment and kept nowhere else.

    Args:
        base_url: Address of the server, such as ``https://host/v1``.
        option: Name of the key or flag that holds the address.
        model: What the server calls the model.
        per_minute: Most requests per minute, retries included; None: no limit of ours.
        advice: What the user can do once a request has failed; it ends the error's line.

    Attributes:
        client: The client of the package openai. It waits before each request, as `per_minute` says.

    Raises:
        ImportError: If openai is not installed.
        UserError: If the address is none or holds a secret, or the key holds characters that no key has.
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
                pace()  # before retries too

        self.client: Any = Paced(base_url=base_url, api_key=_key() or "none", max_retries=_RETRIES)
        self._errors = openai
        self._url, self._model, self._advice = base_url, model, advice
        self._pause = 60 / per_minute if per_minute else 0.0  # seconds from request to request
        self._last = 0.0

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what goes wrong with a request, and with reading its answer, into one line.

        Raises:
            UserError: If the server refuses, fails past all retries, or answers with something else.
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
    """Refuse what is no address; a password in it would end up on a card."""
    try:
        url = urlparse(base_url or "")
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets, or a port that is none
        usable = False
    if not usable:
        raise UserError(f"{option} '{base_url}' is no URL like https://host/v1")
    if url.username or url.password or url.query:
        raise UserError(f"{option} holds a password or a query; put the key into {KEY} instead")


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())  # a server may repeat the key
    return (words.replace(key, "***") if (key := _key()) else words)[:120]


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UserError(f"{KEY} holds characters that no key has")
    return key
