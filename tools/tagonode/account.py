"""TagoIO's account side through its official SDK: patient with rate limits, and exact about what went wrong.

The SDK raises one exception for what TagoIO refuses and for hosts that cannot be reached, and tries calls again by
itself that may have been done. Here each call is made once, a refusal is a Refusal, and where nobody can tell whether
a call was done there is NoAnswer: whoever creates something looks then, and only then creates it again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

ENV_ACCOUNT_TOKEN = "TAGOIO_ACCOUNT_TOKEN"
PAGE = 100  # rows of a list that are asked for at once
TRIES = 5  # of a call that got no answer
_REACH_S = 10
_ANSWER_S = 30
_WINDOW_S = 60  # TagoIO's limits are of clock minutes

_RETRY_AFTER = re.compile(r"Retry-After\D{0,3}(\d{1,5})", re.IGNORECASE)
# how urllib3 and ssl begin what the SDK hands on as if TagoIO had said it
_TRANSPORT = re.compile(r"^<?(urllib3|HTTPS?Connection)|\[SSL|_ssl\.c|Max retries exceeded")
_SERVER_FAULT = re.compile(r"internal server error|service unavailable|bad gateway|gateway time-?out", re.IGNORECASE)
_DENIED = "authorization denied"

Result = TypeVar("Result")


class AccountError(Exception):
    """What stops everything: one line, which names the thing and the remedy."""


class NoToken(AccountError):
    """The environment has no account token that could be one."""


class Refusal(Exception):
    """TagoIO says no to one call: its text."""


class NoAnswer(Exception):
    """A call may or may not have been done."""


def account_token() -> str:
    """The account token from the environment, the only place for it. Raises NoToken."""
    token = os.environ.get(ENV_ACCOUNT_TOKEN, "").strip()
    if not token:
        raise NoToken(
            f"{ENV_ACCOUNT_TOKEN} is not set: make a token at TagoIO (your account, Profiles, Tokens) and put it into "
            "that variable of your shell; for practice take the account token that `tagonode cloud` prints"
        )
    if not re.fullmatch("[!-~]+", token):
        raise NoToken(
            f"{ENV_ACCOUNT_TOKEN} holds a line break, a space or another character of no token: copy it again"
        )
    return token


def reach(url: str, ca: Path | None) -> None:
    """See that the server answers by TLS with a certificate that is its own. Raises AccountError, which says what not.

    Through a proxy nothing is looked at beforehand.
    """
    from requests import certs
    from requests.utils import get_environ_proxies

    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme != "https" and host not in ("localhost", "127.0.0.1", "::1"):
        raise AccountError(
            f"{url} is not https: the account token would go in the open; begin the address with https://"
        )
    if ca is not None and not ca.is_file():
        raise AccountError(f"{ca}: no such file: name the PEM file of the server's CA")
    if get_environ_proxies(url):
        return
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else certs.where())
    except (ssl.SSLError, OSError):
        raise AccountError(f"{ca} holds no certificate in PEM form: name the PEM file of the server's CA") from None
    where = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=_REACH_S) as plain:
            if parts.scheme == "https":
                context.wrap_socket(plain, server_hostname=host).close()
    except socket.gaierror:
        raise AccountError(
            f"{host}: there is no host of this name: check tagoio.host in node.toml, or --url, and this PC's network"
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise AccountError(_distrust(where, host, error)) from None
    except ssl.SSLError as error:
        raise AccountError(f"{where} does not speak TLS ({error.reason}): check the address and its port") from None
    except OSError as error:
        why = error.strerror or "no answer in time"
        raise AccountError(
            f"{where} cannot be reached ({why}): check the address and this PC's network; for practice, start "
            "`tagonode cloud` and give its address with --url"
        ) from None


def _distrust(where: str, host: str, error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message
    if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"{where}: its certificate is not for {host}: use the name that the certificate has"
    if error.verify_code in (9, 10):  # not valid yet, expired
        return f"{where}: its certificate is out of date ({said}): check this PC's clock, or tell the server's owner"
    return (
        f"{where}: its certificate is not from a CA that is trusted here ({said}): give the server's CA with --ca "
        "(`tagonode cloud` prints its file); at TagoIO's own address something between is reading your traffic"
    )


class Account:
    """One profile at TagoIO. `url`: the API's base address. `ca`: PEM file that is trusted in place of public CAs.

    `tell` is called with a line when there is something to wait for. Lists and questions are asked again when no
    answer comes; nothing else is. Use it in a `with`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.url = url.rstrip("/")
        self.host = urlsplit(url).netloc
        self._token = token
        self._ca = ca
        self._tell = tell
        self._sleep = sleep

    def __enter__(self) -> Account:
        from tagoio_sdk import Resources, config

        self._before = (dict(config.tagoSDKconfig), os.environ.get("REQUESTS_CA_BUNDLE"))
        config.tagoSDKconfig.update(requestAttempts=1, requestTimeout=_ANSWER_S)
        if self._ca is not None:
            os.environ["REQUESTS_CA_BUNDLE"] = str(self._ca)
        self._devices = Resources({"token": self._token, "region": self._region()}).devices
        return self

    def __exit__(self, *_: object) -> None:
        from tagoio_sdk import config

        options, bundle = self._before
        config.tagoSDKconfig.update(options)
        if self._ca is not None:
            if bundle is None:
                del os.environ["REQUESTS_CA_BUNDLE"]
            else:
                os.environ["REQUESTS_CA_BUNDLE"] = bundle

    def __repr__(self) -> str:
        return f"Account({self.url!r})"

    def _region(self) -> dict[str, str]:
        return {"api": self.url, "sse": self.url}

    # -- one call ------------------------------------------------------------------------------------------

    def _once(self, do: Callable[[], Result]) -> Result:
        """Make a call; wait out the rate limit, however often. Raises Refusal and NoAnswer."""
        from tagoio_sdk.infrastructure.api_request import TagoIORequestError

        while True:
            try:
                return do()
            except TagoIORequestError as error:
                text = str(error.message or "it does not say why")
                if _TRANSPORT.search(text) or _SERVER_FAULT.search(text):
                    raise NoAnswer(text) from None
                if not text.lower().startswith("too many requests"):
                    raise Refusal(text) from None
                told = _RETRY_AFTER.search(text)
                self.pause(int(told[1]) if told else _WINDOW_S - time.time() % _WINDOW_S, "rate limit reached")
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                # the SDK stumbles so over what went wrong, or over an answer that is none of TagoIO's
                raise NoAnswer(type(error.__context__ or error).__name__) from None

    def pause(self, seconds: float, why: str) -> None:
        """Wait, and a little longer: others were told the same."""
        seconds += random.uniform(0.1, 1.0)
        self._tell(f"{why}: going on in {seconds:.0f} s")
        self._sleep(seconds)

    def _ask(self, do: Callable[[], Result]) -> Result:
        """A call that may be made twice. Raises Refusal and NoAnswer, when there was none after several tries."""
        for attempt in range(TRIES):
            try:
                return self._once(do)
            except NoAnswer as error:
                if attempt == TRIES - 1:
                    raise
                self.pause(2**attempt, f"no answer from {self.host} ({error})")
        raise AssertionError

    # -- devices -------------------------------------------------------------------------------------------

    def _list(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Rows {id, name, tags} of all pages; up to the one that is empty, since TagoIO may give fewer than asked."""
        fields = ["id", "name", "tags"]
        for page in range(1, 10_000):
            asked = {"page": page, "amount": PAGE, "fields": fields, "orderBy": "created_at,asc", **query}
            rows: list[dict[str, Any]] = self._ask(functools.partial(self._get_devices, asked))
            yield from rows
            if not rows:
                return

    def _get_devices(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        # the SDK's own list has no serial number to ask for, and takes the filter out of what it is given
        return self._devices.doRequest({"path": "/device", "method": "GET", "params": dict(asked)})

    def all_devices(self) -> list[dict[str, Any]]:
        """Every device of the profile: [{id, name, tags}]."""
        return list(self._list())

    def devices_of_serial(self, serial: str) -> list[dict[str, Any]]:
        """Those with a token of this serial number."""
        return list(self._list(serial=serial))

    def devices_tagged(self, key: str, value: str) -> list[dict[str, Any]]:
        """Those with this tag."""
        return list(self._list(filter={"tags": [{"key": key, "value": value}]}))

    def devices_called(self, name: str) -> list[dict[str, Any]]:
        """Those of exactly this name."""
        return [row for row in self._list(filter={"name": name}) if row["name"] == name]

    def device(self, identity: str) -> dict[str, Any]:
        """A device as GET /device/:id gives it."""
        return self._ask(lambda: self._devices.info(identity))

    def create_device(self, fields: dict[str, Any]) -> tuple[str, str]:
        """(id, token) of a new device. Not tried again: see NoAnswer."""
        made = self._once(lambda: self._devices.create(fields))
        identity = made.get("device_id") or made.get("deviceID")
        if not identity or not made.get("token"):
            raise NoAnswer("an answer without id and token")
        return identity, made["token"]

    def amount(self, identity: str) -> int:
        """How many records a device holds."""
        return int(self._ask(lambda: self._devices.amount(identity)))

    # -- tokens and parameters -----------------------------------------------------------------------------

    def tokens(self, identity: str) -> list[dict[str, Any]]:
        """A device's tokens: [{name, token, permission, expire_time}], the oldest first."""
        query = {"amount": PAGE, "fields": ["name", "token", "permission", "expire_time", "created_at"]}
        rows: list[dict[str, Any]] = self._ask(
            lambda: self._devices.tokenList(identity, {**query, "orderBy": ["created_at", "asc"]})
        )
        return rows

    def create_token(self, identity: str, name: str, serial: str) -> str:
        """A token for a device which never expires and has full permission. Not tried again."""
        fields = {"name": name, "permission": "full", "expire_time": "never"}
        if serial:
            fields["serie_number"] = serial
        return str(self._once(lambda: self._devices.tokenCreate(identity, fields))["token"])

    def works(self, token: str) -> str | None:
        """None when a device's token opens its device, else why not. A fresh one may need a moment at TagoIO."""
        from tagoio_sdk import Device

        device = Device({"token": token, "region": self._region()})
        for attempt in range(3):
            try:
                self._ask(device.info)
                return None
            except Refusal as refusal:
                if attempt == 2 or not is_denied(str(refusal)):
                    return str(refusal)
                self.pause(2, "TagoIO does not know the new token yet")
        return None

    def parameters(self, identity: str) -> dict[str, str]:
        """A device's configuration parameters: {key: value}."""
        return {row["key"]: row["value"] for row in self._ask(lambda: self._devices.paramList(identity))}

    def set_parameters(self, identity: str, rows: list[dict[str, Any]]) -> None:
        """Add parameters, or edit those of the same key: to do it twice changes nothing more."""
        self._ask(lambda: self._devices.paramSet(identity, rows))


def is_denied(text: str) -> bool:
    """Whether TagoIO refuses the token rather than the call."""
    return _DENIED in text.lower()


@contextlib.contextmanager
def explained(host: str) -> Iterator[None]:
    """Turn what stops everything into an AccountError."""
    try:
        yield
    except Refusal as refusal:
        text = str(refusal)
        if is_denied(text):
            raise AccountError(
                f"{host} refuses the account token ({text}): make a new one at TagoIO (your account, Profiles, "
                f"Tokens), with access to devices, in the region of this address, and put it into {ENV_ACCOUNT_TOKEN}"
            ) from None
        if re.search(r"limit", text, re.IGNORECASE) and re.search(r"device", text, re.IGNORECASE):
            raise AccountError(
                f"{host} takes no more devices ({text}): delete some that are not needed, or take a larger plan"
            ) from None
        raise
    except NoAnswer as error:
        raise AccountError(f"{host} gives no answer ({error}): try again later; nothing is done twice") from None
