"""A server that speaks as the robots of 企业微信, 钉钉 and 飞书 do, and refuses what they refuse.

By their own documents: a wrong or missing token, a wrong or old signature, a message that is too
long or of no known form, and more than so many in a minute. It answers 200 with a code, as they
do. Nothing here reads the product's code for signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from marketplace.notifications.senders import SendingFailed

TOKEN = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"
SECRET = "SEC0123456789abcdef"
HOOKS = {
    "wecom": f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={TOKEN}",
    "dingtalk": f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}",
    "feishu": f"https://open.feishu.cn/open-apis/bot/v2/hook/{TOKEN}",
}
AN_HOUR = 3600
A_MINUTE = {"wecom": 20, "dingtalk": 20, "feishu": 100}


@dataclass
class Robots:
    """What they took, and how they are made to behave."""

    base: str = ""
    now: float = field(default_factory=time.time)  # their clock
    taken: list[tuple[str, str]] = field(default_factory=list)  # kind, text
    taken_at: list[tuple[str, float]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # paths
    faults: list[int | str] = field(default_factory=list)  # statuses, or a redirect's address

    def answer(self, path: str, raw: bytes) -> dict[str, Any]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            body = json.loads(raw)
        except ValueError:
            return {"errcode": 40035, "errmsg": "invalid json"}
        if parts.path == "/cgi-bin/webhook/send":
            return self._wecom(query, body)
        if parts.path == "/robot/send":
            return self._dingtalk(query, body, len(raw))
        return self._feishu(parts.path, body, len(raw))

    def _wecom(self, query: dict[str, str], body: Any) -> dict[str, Any]:
        if query.get("key") != TOKEN:
            return {"errcode": 93000, "errmsg": "invalid webhook url"}
        if body.get("msgtype") != "text" or "content" not in body.get("text", {}):
            return {"errcode": 40008, "errmsg": "invalid message type"}
        if len(body["text"]["content"].encode()) > 2048:
            return {"errcode": 40058, "errmsg": "text.content exceed max length 2048"}
        if not self._may("wecom"):
            return {"errcode": 45009, "errmsg": "api freq out of limit"}
        return self._take("wecom", body["text"]["content"], {"errcode": 0, "errmsg": "ok"})

    def _dingtalk(self, query: dict[str, str], body: Any, size: int) -> dict[str, Any]:
        if query.get("access_token") != TOKEN:
            return {"errcode": 300005, "errmsg": "token is not exist"}
        stamp = query.get("timestamp", "0")
        said = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
        if abs(self.now - int(stamp) / 1000) > AN_HOUR:
            return {"errcode": 310000, "errmsg": "invalid timestamp"}
        if query.get("sign") != base64.b64encode(said).decode():
            return {"errcode": 310000, "errmsg": "sign not match"}
        if body.get("msgtype") != "text" or "content" not in body.get("text", {}):
            return {"errcode": 400105, "errmsg": "unsupported msgtype"}
        if size > 20_000:
            return {"errcode": 460101, "errmsg": "message too long"}
        if not self._may("dingtalk"):
            return {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
        return self._take("dingtalk", body["text"]["content"], {"errcode": 0, "errmsg": "ok"})

    def _feishu(self, path: str, body: Any, size: int) -> dict[str, Any]:
        if path != f"/open-apis/bot/v2/hook/{TOKEN}":
            return {"code": 19001, "msg": "param invalid: incoming webhook access token invalid"}
        stamp = str(body.get("timestamp", "0"))
        said = hmac.new(f"{stamp}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
        late = abs(self.now - int(stamp)) > AN_HOUR
        if late or body.get("sign") != base64.b64encode(said).decode():
            return {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}
        if body.get("msg_type") != "text" or "text" not in body.get("content", {}):
            return {"code": 9499, "msg": "Bad Request"}
        if size > 20 * 1024:
            return {"code": 9499, "msg": "Bad Request: too large"}
        if not self._may("feishu"):
            return {"code": 11232, "msg": "frequency limited"}
        return self._take("feishu", body["content"]["text"], {"code": 0, "msg": "success"})

    def _may(self, kind: str) -> bool:
        recent = [at for k, at in self.taken_at if k == kind and at > self.now - 60]
        return len(recent) < A_MINUTE[kind]

    def _take(self, kind: str, text: str, reply: dict[str, Any]) -> dict[str, Any]:
        self.taken.append((kind, text))
        self.taken_at.append((kind, self.now))
        return reply


@contextmanager
def running() -> Iterator[Robots]:
    """On a port of this machine, while the block lasts."""
    robots = Robots()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            robots.asked.append(self.path)
            fault = robots.faults.pop(0) if robots.faults else 200
            if isinstance(fault, str):
                self.send_response(302)
                self.send_header("Location", fault)
                self.end_headers()
                return
            reply = robots.answer(self.path, raw) if fault == 200 else {}
            content = json.dumps(reply).encode()
            self.send_response(fault)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    robots.base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield robots
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Sms:
    """A text message service in memory, as the contract has it: one message per reference."""

    sent: dict[str, tuple[str, str]] = field(default_factory=dict)

    def send(self, *, phone: str, text: str, reference: str) -> None:
        if not phone.lstrip("+").isdigit() or len(text.encode()) > 300 or not text.strip():
            raise SendingFailed("refused by the service", permanent=True)
        self.sent.setdefault(reference, (phone, text))


BOX = Sms()


def sms() -> Sms:
    """What SMS_ADAPTER of tests names."""
    return BOX
