"""What the words of the card-hour funnel mean: the one table behind every page and export."""

# ruff: noqa: RUF001  Chinese has its own punctuation

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """A word of the funnel. Both languages stand here, so that they can be read side by side."""

    key: str  # the attribute of a funnel row
    zh: str
    en: str
    meaning_zh: str
    meaning_en: str


DEFINITIONS = (
    Definition(
        "installed",
        "装机卡时",
        "installed",
        "节点入网至退役期间的卡数乘以时间",
        "cards of nodes between installation and retirement, times time",
    ),
    Definition(
        "serviceable",
        "可用卡时",
        "serviceable",
        "装机卡时减去计划停用与故障停用；故障自发生起计，至恢复为止",
        "installed less planned and failed outages; a failure counts until the node is back",
    ),
    Definition(
        "listed",
        "挂牌卡时",
        "listed",
        "可用卡时中处于可售时段的部分：自挂牌起，至撤牌止，暂停仍计入；撤牌后仅计已售部分",
        "serviceable card-hours on sale: from publication to withdrawal, pauses included;"
        " after a withdrawal what was sold before it",
    ),
    Definition(
        "sold",
        "已售卡时",
        "sold",
        "挂牌卡时中已确认租约占用的部分，不含准备与清理时间",
        "listed card-hours of confirmed leases, without lead and turnaround",
    ),
    Definition(
        "delivered",
        "交付卡时",
        "delivered",
        "已售卡时中计量确认已交付的部分，按小时取交集",
        "sold card-hours that were metered as delivered, intersected hour by hour",
    ),
    Definition(
        "busy",
        "在用卡时",
        "busy",
        "交付卡时中遥测显示繁忙的部分；没有遥测的小时不计入，全无遥测即“未测量”，从不估算",
        "delivered card-hours that telemetry saw at work; hours without telemetry add nothing,"
        " and without any it is “not measured”, never guessed",
    ),
    Definition("listed_rate", "挂牌率", "listed rate", "挂牌卡时 / 装机卡时", "listed / installed"),
    Definition("sold_rate", "出租率", "rental rate", "已售卡时 / 挂牌卡时", "sold / listed"),
    Definition(
        "delivered_rate",
        "租用率",
        "delivered rate",
        "交付卡时 / 装机卡时",
        "delivered / installed",
    ),
    Definition("busy_rate", "利用率", "busy rate", "在用卡时 / 装机卡时", "busy / installed"),
    Definition(
        "listed_down",
        "挂牌不可用",
        "listed but down",
        "处于可售时段、但节点停用的卡时",
        "on sale while the nodes were out of use",
    ),
    Definition(
        "sold_down",
        "已售不可用",
        "sold but down",
        "已售、但节点停用的卡时",
        "sold while the nodes were out of use",
    ),
    Definition(
        "undelivered",
        "已售未交付",
        "sold but not delivered",
        "已售卡时减去交付卡时：交付延迟、交付失败、中断或尚未计量",
        "sold less delivered: late or failed hand-over, gaps, or not yet metered",
    ),
)


def definitions(language: str | None) -> list[tuple[str, str]]:
    """The words and their meanings in a language."""
    if language and language.startswith("zh"):
        return [(row.zh, row.meaning_zh) for row in DEFINITIONS]
    return [(row.en, row.meaning_en) for row in DEFINITIONS]
