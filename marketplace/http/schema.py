"""The OpenAPI document: names, scopes, idempotency keys and refusals of every operation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from inventory.api.fields import LINES_PATTERN, TEXT_PATTERN
from marketplace.http.problems import CONTENT_TYPE

_METHODS = ("get", "post", "put", "patch", "delete")
_WHY = {
    "400": "The request cannot be read, or lacks its Idempotency-Key.",
    "401": "No valid key or session.",
    "402": "The wallet does not hold enough.",
    "403": "The caller lacks the scope, or may not do this.",
    "404": "No such thing, or not the caller's.",
    "405": "This method is not allowed here.",
    "406": "Only JSON is served.",
    "409": "Not possible in the present state, or taken in the meantime.",
    "410": "The offer or hold is over.",
    "411": "The request does not say how long its body is.",
    "413": "The body is too large.",
    "415": "This content type is not read here.",
    "422": "A value is not acceptable; `errors` points at it.",
    "429": "Too many requests; see Retry-After.",
    "503": "A lock was not granted in time; nothing happened. See Retry-After.",
}
# An extension by which a read names the statuses it refuses with beside those of any read.
ALSO_REFUSES = "x-also-refuses"
_ALWAYS = ("400", "401", "403", "405", "406", "422", "429")
_ON_WRITES = ("402", "409", "410", "411", "413", "415", "503")
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable; what a program should look at."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "params": {"type": "object", "description": "The refusal's particulars, by code."},
    },
}
# The kind of id that stands after a collection's name in a path.
_PREFIX = {
    "organisations": "org",
    "projects": "prj",
    "api-keys": "key",
    "centres": "ctr",
    "fabrics": "fab",
    "pools": "pool",
    "nodes": "nod",
    "outages": "out",
    "manual-tasks": "mtk",
    "ssh-keys": "ssh",
    "acceptances": "acc",
    "instances": "ins",
    "external-allocations": "alc",
    "listings": "lst",
    "reservations": "rsv",
    "baskets": "bsk",
    "leases": "lse",
    "charges": "chg",
    "bank-receipts": "rcp",
    "bank-accounts": "bnk",
    "bank-statements": "bst",
    "bank-lines": "bln",
    "refunds": "rfd",
    "topup-refunds": "tur",
    "payment-files": "pfl",
    "settlements": "stl",
    "quotas": "quo",
    "quotes": "cqt",
    "amendments": "amd",
    "instalments": "ist",
    "invoices": "inv",
    "credit-notes": "inv",
    "statements": "stm",
    "contests": "cst",
    "fapiaos": "fpo",
    "topups": "top",
    "disputes": "dsp",
    "payout-accounts": "pac",
    "payouts": "pay",
    "payout-files": "pof",
    "payout-terms": "ptm",
    "input-fapiaos": "ifp",
    "provider-repayments": "rpm",
    "gateway-events": "gev",
    "gateway-requests": "psp",
    "vouchers": "vch",
    "accounting-periods": "acp",
    "reconciliation-matches": "rcm",
    "ledger-transactions": "ltr",
    "sla-months": "slm",
    "health-reports": "hrp",
    "telemetry-sources": "tms",
    "series-bindings": "tsb",
    "meter-disputes": "mdp",
    "incidents": "inc",
    "cases": "case",
    "notification-channels": "chn",
    "notification-deliveries": "ntf",
}
# … and of a second one in the same path, by its name.
_SECOND = {"attachment_id": "att"}


class CardhourSchema(AutoSchema):
    """Names operations after what they do, and says what each needs."""

    view: Any

    @property
    def _action(self) -> str:
        return str(getattr(self.view, "action", None) or self.method.lower())

    def get_operation_id(self) -> str:
        words = [part for part in self.path.split("/") if part and part not in ("api", "v1")]
        plural = [word.replace("-", "_") for word in words if not word.startswith("{")]
        verbs = {"list": "list", "retrieve": "get", "create": "create", "destroy": "delete"}
        if self._action == "list":
            return "_".join(["list", *plural])
        singular = [word.removesuffix("s") for word in plural]
        if self._action in verbs:
            return "_".join([verbs[self._action], *singular])
        return "_".join([plural[-1], *singular[:-1]])

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def get_summary(self) -> str:
        return (self.get_description_text().split("\n\n")[0]).replace("\n", " ").strip()

    def get_description(self) -> str:  # type: ignore[override]  # spectacular's, not DRF's own
        text = self.get_description_text()
        scope = self.view.required_scopes.get(self._action)
        needs = f"Scope: `{scope}`." if scope else "Any caller."
        return f"{text}\n\n{needs}" if text else needs

    def get_description_text(self) -> str:
        return str(super().get_description() or "")

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = list(super().get_override_parameters())
        if self.view.filter_shape is not None and self._is_list_view():
            parameters.append(self.view.filter_shape)
        if self._action in self.view.idempotent:
            parameters.append(
                OpenApiParameter(
                    "Idempotency-Key",
                    {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 255,
                        "pattern": "^[\\x21-\\x7e]+$",
                    },
                    OpenApiParameter.HEADER,
                    required=True,
                    description="The same key and request get the same reply, once done.",
                )
            )
        return parameters


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "marketplace.http.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "Authorization: Bearer ck_live_…",
        }


class ConsoleScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "marketplace.http.authentication.ConsoleAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The console's session; writes need its X-CSRFToken too.",
        }


class StrictShape(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A strict serializer refuses unknown fields, and its schema says so."""

    target_class = "inventory.api.fields.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        schema["additionalProperties"] = False
        return schema


class LinesShape(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "inventory.api.fields.Lines"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        return {
            "type": "string",
            "format": "lines",
            "minLength": 1,
            "maxLength": self.target.max_length,
            "pattern": LINES_PATTERN,
        }


class TextShape(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "inventory.api.fields.Text"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        field = self.target
        pattern = TEXT_PATTERN if not field.allow_blank else f"^$|{TEXT_PATTERN}"
        return {
            "type": "string",
            "minLength": field.min_length or 0,
            "maxLength": field.max_length,
            "pattern": pattern,
        }


class PublicIdShape(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "inventory.api.fields.PublicId"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        return _public_id(self.target.prefix)


def _public_id(prefix: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{prefix}_[0-9a-f]{{32}}$"}


def only_the_api(endpoints: list[Any]) -> list[Any]:
    """Console pages are no part of the document."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def document_refusals(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Every operation says how it can refuse; path ids say what kind they are."""
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    body = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    result["components"]["responses"] = {
        f"Refused{status}": {"description": why, "content": body} for status, why in _WHY.items()
    }
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            statuses = [*_ALWAYS, *(_ON_WRITES if method != "get" else ())]
            if method != "get" or any(map(_names_a_row, operation.get("parameters", []))):
                statuses.append("404")
            statuses += operation.pop(ALSO_REFUSES, [])
            for status in sorted(set(statuses)):
                refusal = {"$ref": f"#/components/responses/Refused{status}"}
                operation["responses"].setdefault(status, refusal)
            _name_ids(path, operation)
    return result


def _names_a_row(parameter: dict[str, Any]) -> bool:
    return parameter["in"] == "path" or "_[0-9a-f]" in parameter["schema"].get("pattern", "")


def _name_ids(path: str, operation: dict[str, Any]) -> None:
    collection = path.removeprefix("/api/v1/").split("/")[0]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and collection in _PREFIX:
            prefix = _SECOND.get(parameter["name"], _PREFIX[collection])
            parameter["schema"] = _public_id(prefix)
