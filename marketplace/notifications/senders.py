"""What each kind of channel speaks: its limits, its signature, and what its answers mean.

Sources: developer.work.weixin.qq.com/document/path/91770 (企业微信群机器人: 20 a minute, text of
2048 bytes), open.dingtalk.com (自定义机器人: 加签 by HMAC-SHA256, 20 a minute, 20000 bytes),
open.feishu.cn (自定义机器人: 签名校验, 100 a minute, bodies of 20 KB).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import ssl
from dataclasses import dataclass
from datetime import datetime
from smtplib import SMTPException, SMTPRecipientsRefused
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.module_loading import import_string

TIMEOUT_SECONDS = 10
LARGEST_REPLY = 64 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,128}")

# A robot's web hook may lie here and nowhere else: what a member writes into a form must never
# make this server call a host of its choice.
HOOKS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "wecom": (("qyapi.weixin.qq.com",), "/cgi-bin/webhook/send", "key"),
    "dingtalk": (("oapi.dingtalk.com",), "/robot/send", "access_token"),
    "feishu": (("open.feishu.cn", "open.larksuite.com"), "/open-apis/bot/v2/hook/", ""),
}
# Messages of one channel in a minute, and bytes of one text.
PACE: dict[str, int] = {"wecom": 20, "dingtalk": 20, "feishu": 100}
TEXT_BYTES: dict[str, int] = {"wecom": 2048, "dingtalk": 6000, "feishu": 6000, "sms": 300}
_TOO_OFTEN = {"wecom": {45009}, "dingtalk": {130101}, "feishu": {11232}}
_BUSY = {"wecom": {-1}, "dingtalk": {-1}, "feishu": {11001}}


class SendingFailed(Exception):
    """The other side did not take it. `permanent`: sending again would not help; `too_often`:
    nothing is wrong with it but its time."""

    def __init__(self, message: str, *, permanent: bool, too_often: bool = False) -> None:
        super().__init__(message[:300])
        self.permanent = permanent
        self.too_often = too_often


class HookRefused(ValueError):
    """No web hook of this kind of robot."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `reference` never changes: the key of repeats where the other side has one."""

    reference: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        return f"{self.title}\n{self.text}" if self.text else self.title


class SmsAdapter(Protocol):
    """A service that sends text messages; SMS_ADAPTER names its class by dotted path.

    May block for TIMEOUT_SECONDS. Called again with the same reference after any fault: the
    service sends it once, where it can tell.
    """

    def send(self, *, phone: str, text: str, reference: str) -> None:
        """Raises SendingFailed."""


def parse_hook(kind: str, address: str) -> dict[str, str]:
    """A robot's web hook as host and token, from which its address is built anew.

    Nothing else of what was written is ever used. Raises HookRefused.
    """
    hosts, path, parameter = HOOKS[kind]
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError as error:
        raise HookRefused from error
    if parts.scheme != "https" or parts.hostname not in hosts or port not in (None, 443):
        raise HookRefused
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise HookRefused
    if parameter:
        name, _equals, token = parts.query.partition("=")
        fits = parts.path == path and name == parameter
    else:
        token = parts.path.removeprefix(path)
        fits = parts.path.startswith(path) and not parts.query
    if not fits or not _TOKEN.fullmatch(token):
        raise HookRefused
    return {"host": parts.hostname, "token": token}


def send(kind: str, target: dict[str, str], message: Message, *, at: datetime) -> None:
    """The message is with the other side. Blocks up to TIMEOUT_SECONDS or so; never in a
    transaction. Raises SendingFailed."""
    if kind == "email":
        _mail(target["address"], message)
    elif kind == "sms":
        adapter = sms_adapter()
        if adapter is None:
            raise SendingFailed("no service for text messages is configured", permanent=True)
        text = cut(message.whole, TEXT_BYTES["sms"])
        adapter.send(phone=target["phone"], text=text, reference=message.reference)
    else:
        _post(kind, target, message, at)


def sms_adapter() -> SmsAdapter | None:
    """None where none is configured."""
    if not settings.SMS_ADAPTER:
        return None
    adapter: SmsAdapter = import_string(settings.SMS_ADAPTER)()
    return adapter


def cut(text: str, size: int) -> str:
    """No more than so many bytes of UTF-8, whole characters, marked where it was cut."""
    raw = text.encode()
    if len(raw) <= size:
        return text
    return raw[: size - 3].decode(errors="ignore") + "…"


def dingtalk_sign(secret: str, milliseconds: int) -> str:
    """加签: base64 of HMAC-SHA256 by the secret over "timestamp\\nsecret"."""
    digest = hmac.new(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def feishu_sign(secret: str, seconds: int) -> str:
    """签名校验: base64 of HMAC-SHA256 of nothing, the key being "timestamp\\nsecret"."""
    digest = hmac.new(f"{seconds}\n{secret}".encode(), b"", hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def _mail(address: str, message: Message) -> None:
    mail = EmailMessage(
        " ".join(message.title.split()),
        message.text or message.title,
        None,
        [address],
        headers={"X-Cardhour-Delivery": message.reference},
    )
    try:
        mail.send()
    except SMTPRecipientsRefused as error:
        codes = [code for code, _why in error.recipients.values()]
        raise SendingFailed(str(error), permanent=all(500 <= c < 600 for c in codes)) from error
    except (SMTPException, OSError) as error:
        raise SendingFailed(str(error) or type(error).__name__, permanent=False) from error


def _post(kind: str, target: dict[str, str], message: Message, at: datetime) -> None:
    path, body = _request(kind, target, message, at)
    status, reply = _exchange(target["host"], path, body)
    if status == 429 or status >= 500:
        raise SendingFailed(f"HTTP {status}", permanent=False, too_often=status == 429)
    if status != 200:  # a redirect is no answer either, and is not followed
        raise SendingFailed(f"HTTP {status}", permanent=True)
    code = reply.get("code", reply.get("errcode"))
    if code == 0:
        return
    why = f"{code}: {reply.get('msg', reply.get('errmsg', ''))}"
    if code in _TOO_OFTEN[kind]:
        raise SendingFailed(why, permanent=False, too_often=True)
    raise SendingFailed(why, permanent=code is not None and code not in _BUSY[kind])


def _request(
    kind: str, target: dict[str, str], message: Message, at: datetime
) -> tuple[str, dict[str, Any]]:
    _hosts, path, parameter = HOOKS[kind]
    text, secret = cut(message.whole, TEXT_BYTES[kind]), target.get("secret", "")
    if kind == "feishu":
        body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
        if secret:
            seconds = int(at.timestamp())
            body |= {"timestamp": str(seconds), "sign": feishu_sign(secret, seconds)}
        return path + quote(target["token"], safe=""), body
    query = {parameter: target["token"]}
    if kind == "dingtalk" and secret:
        milliseconds = int(at.timestamp() * 1000)
        query |= {"timestamp": str(milliseconds), "sign": dingtalk_sign(secret, milliseconds)}
    return f"{path}?{urlencode(query)}", {"msgtype": "text", "text": {"content": text}}


def _exchange(host: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """One request, no redirect followed, no proxy taken from the environment."""
    if host not in {name for hosts, _path, _parameter in HOOKS.values() for name in hosts}:
        raise SendingFailed("no host of a robot", permanent=True)
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    connection = _connect(host)
    try:
        connection.request("POST", path, body=content, headers=headers)
        response = connection.getresponse()
        raw = response.read(LARGEST_REPLY)
        status = response.status
    except (OSError, http.client.HTTPException) as error:
        raise SendingFailed(str(error) or type(error).__name__, permanent=False) from error
    finally:
        connection.close()
    try:
        reply = json.loads(raw)
    except ValueError:
        reply = {}
    return status, reply if isinstance(reply, dict) else {}


def _connect(host: str) -> http.client.HTTPConnection:
    if settings.ROBOT_API_BASE:  # another server that speaks as they do, for tests
        base = urlsplit(settings.ROBOT_API_BASE)
        return http.client.HTTPConnection(
            base.hostname or "", base.port or 80, timeout=TIMEOUT_SECONDS
        )
    return http.client.HTTPSConnection(
        host, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
    )
