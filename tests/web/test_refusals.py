"""A refusal is said in the reader's language from end to end, with its numbers and names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from django.utils import translation

import marketplace.urls  # noqa: F401 (so that every refusal is known)
from billing import ledger, receipts
from billing.payments import DebtOpen
from inventory import capacity, keys, node_import, organisations, pools
from inventory.errors import Busy, DomainError, Forbidden, Invalid
from inventory.periods import InvalidPeriod
from inventory.provisioning import NothingToRemedy
from inventory.transitions import IllegalTransition
from marketplace import asking, money_text, policy
from marketplace.web import refusal_details, refusals
from tests.web.test_translations import PACKAGES, ROOT, _refusals

_ELSEWHERE = {"migrations", "demo", "management", "bench", "replay"}


def _raised() -> Iterator[tuple[str, str, str]]:
    """Where, which class, and the sentence of every refusal that is made with one; a place in
    it reads 7."""
    kinds = {kind.__name__: kind for kind in _refusals(DomainError)}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if _ELSEWHERE & set(path.parts):
                continue
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(call, ast.Call) or not call.args:
                    continue
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                if name in kinds and (text := _text(call.args[0])):
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", name, text


def _text(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if isinstance(argument, ast.JoinedStr):
        parts = argument.values
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "7" for p in parts)
    return ""


def test_every_detail_can_be_said_in_chinese() -> None:
    kinds = {kind.__name__: kind for kind in _refusals(DomainError)}
    seen, unsaid = 0, []
    with translation.override("zh-hans"):
        for place, name, text in _raised():
            seen += 1
            kind = kinds[name]
            # A row that is not there is a page that is not there; a fault of ours is a title.
            said = kind.status in (404, 500) or kind.code in refusals._TELLERS
            if not said and not refusal_details.translated(text):
                unsaid.append(f"{place} {name}: {text}")

    assert seen > 60
    assert unsaid == []


REFUSALS = [
    (capacity.CapacityTaken(free_units=3), "整个时段内只有 3 个单元可用，请减少数量或更换时段。"),
    (capacity.CapacityTaken(free_units=0), "整个时段内没有可用的单元，请换一个时段。"),
    (capacity.NotOffered(why="in_the_past"), "该时段已经结束，请选择更晚的结束时间。"),
    (capacity.NotOffered(), "该时段未出售"),
    (capacity.NoNodeFree(found_units=2), "目前空闲、健康且已清理的节点只够 2 个单元。"),
    (
        IllegalTransition("x is y", current="delivering", wanted="cancelled"),
        "无法操作：当前状态为“交付中”，不能变为“已取消”。",
    ),
    (
        IllegalTransition(current="ended", wanted="out of use"),
        "无法操作：当前状态为“已结束”。",
    ),
    (IllegalTransition("A withdrawn listing has no price"), "当前状态下无法进行：已撤牌，不能定价"),
    (NothingToRemedy(state="released"), "无需处理：该实例当前状态为“已释放”。"),
    (Invalid("The number of units lies between 1 and 1000000"), "单元数须在 1 至 1000000 之间"),
    (Invalid("Something that only a program says"), "填写的内容不可接受"),
    (Forbidden(), "你的角色无权进行此操作。"),
    (Forbidden("Only an organisation can hold"), "只有机构可以占位"),
    (Busy(), "系统繁忙，请稍后再试。"),
    (pools.NameTaken(), "名称已被使用，请换一个。"),
    (organisations.LastOwner(), "机构须至少保留一名所有者"),
    (keys.ScopeEscalation(missing=["a:b"]), "密钥的权限不能超过其创建者；你没有以下权限：a:b"),
    (InvalidPeriod("The end must lie after the start"), "结束时间须晚于开始时间"),
    (
        asking.InvalidPrice("A deposit lies between 1000 and 10000 basis points"),
        "押金比例应在 1000 至 10000（万分之一）之间",
    ),
    (money_text.InvalidAmount("At most 2 decimals are possible here"), "小数最多 2 位"),
    (
        policy.BelowFloor(
            "A card-hour would leave 5.90 CNY after VAT and fee; it costs 7.00",
            currency="CNY", floor_micro=7_000_000, keeps_micro=5_900_000, power_micro=3_000_000,
            depreciation_micro=3_000_000, network_micro=1_000_000, operations_micro=0,
        ),
        "低于底价：扣除增值税和服务费后每卡时到手 ¥5.90，而成本为 ¥7.00（电力 ¥3.00、折旧 ¥3.00、"
        "网络 ¥1.00、运维 ¥0.00）。请提高报价，或核对成本。",
    ),
    (
        ledger.InsufficientFunds(account="wallet:org:CNY", available=100, needed=1_234_500),
        "钱包可用余额为 ¥1.00，需要 ¥12,345.00，请先充值。",
    ),
    (DebtOpen(owed_minor=5, currency="CNY"), "此前已用时长尚欠 ¥0.05，请先为钱包充值。"),
    (receipts.DuplicateReceipt(bank_reference="R-1"), "银行流水号 R-1 已登记过。"),
    (node_import.Unreadable("x", reason="separator", separator="\t"),
     "各列以制表符分隔，而不是英文逗号。请另存为以英文逗号分隔的 CSV。"),
    (node_import.Unreadable("x", reason="serial_column", columns=["名称", "机柜"]),
     "没有序列号列。首行表头为：名称, 机柜。请将其中一列命名为“序列号”或“serial”。"),
    (node_import.RowsInvalid(error_count=2), "部分行无法导入，未作任何更改。"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "says"), REFUSALS)
def test_says_it_in_chinese_with_what_matters(error: DomainError, says: str) -> None:
    with translation.override("zh-hans"):
        assert refusals.explain(error) == says


def test_english_keeps_what_only_a_program_says() -> None:
    with translation.override("en"):
        assert refusals.explain(Invalid("The flux is wrong")) == "The flux is wrong"
        assert refusals.explain(Busy()) == "Busy right now; try again in a moment."
