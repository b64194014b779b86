"""Who and what there is in the demo world. Every name is invented; the places are real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PASSWORD = "cardhour-demo"
DOMAIN = "demo.cardhour.example"


@dataclass(frozen=True, slots=True)
class DemoPool:
    """A pool: its chip, how many nodes, and how it is sold."""

    name: str
    chip: str
    nodes: int
    price: str  # CNY per card-hour, tax included
    basis: str = "card_hour"
    schedule: str = "prepaid"
    unit_cards: int | None = None  # a slice; None: whole nodes
    listed_share: float = 0.85  # of the units, at the start
    demand: float = 0.6  # of the listed capacity, roughly
    grid_seconds: int = 3600  # starts lie on it
    parts: int = 8  # a usual deal takes one of so many parts of what is listed


@dataclass(frozen=True, slots=True)
class OwnDeal:
    """A deal of the demo tenant, in days from the present one: what its log-in finds."""

    start: int
    days: int
    units: int
    outcome: Literal["kept", "cancelled", "lapsed", "held"] = "kept"


@dataclass(frozen=True, slots=True)
class DemoCentre:
    """A centre and its pools, all in one fabric a pool family."""

    provider: str
    name: str
    name_en: str
    region: str
    hub: str
    owner_kind: str
    pue: str
    racks: tuple[int, int]  # built, occupied
    technology: str
    proved: int | None  # nodes in one collective run, where somebody proved it
    pools: tuple[DemoPool, ...]


# name: (English name, what it does)
PROVIDERS = {
    "黔云智算": "Qianyun Compute",
    "长三角超算联合": "Delta Compute Union",
    "西部绿能算力": "Western Green Compute",
    "京畿智算": "Jingji Compute",
    "湾区算力": "Bay Compute",
}
TENANTS = {
    "北辰大模型": "Borealis Models",
    "星河云": "Xinghe Cloud",
    "启明自动驾驶": "Qiming Driving",
    "青囊医学人工智能": "Qingnang Medical AI",
    "南山大学": "Nanshan University",
    "潮汐传媒": "Chaoxi Media",
}
# Registered, its papers not looked at yet: what the operator finds to decide.
NEWCOMER = ("昆仑算力", "Kunlun Compute")
# The first provider and the first tenant are the ones whose log-ins and keys are printed.
PROVIDER, TENANT = next(iter(PROVIDERS)), next(iter(TENANTS))
OPERATOR = ("卡时运营", "Cardhour Operations")

# What the printed lines reserve: slices of a card, from the next minutes on, so that whoever
# follows them sees machines arrive.
TOUR_POOL, TOUR_CHIP = "A3", "l40s-48g"
# Their past is played before the first page is shown: what the printed log-ins look at first,
# and all that the first tenant has, so that what follows them never makes it wait.
FIRST_POOLS = ("A1", TOUR_POOL, "C3")

# By pool. Nobody draws these by lot: chance sells to the other tenants only.
OWN_DEALS = {
    "A1": (
        OwnDeal(start=-34, days=14, units=2),
        OwnDeal(start=-9, days=3, units=4, outcome="cancelled"),
        OwnDeal(start=-6, days=20, units=4),
        OwnDeal(start=6, days=10, units=2),
        OwnDeal(start=20, days=5, units=1, outcome="lapsed"),
        OwnDeal(start=24, days=7, units=1, outcome="held"),
    ),
    "C3": (OwnDeal(start=-12, days=30, units=2),),
}

CENTRES = (
    DemoCentre(
        PROVIDER,
        "贵安一号智算中心",
        "Gui'an No. 1",
        "贵州",
        "gzh",
        "government",
        "1.18",
        (900, 610),
        "InfiniBand NDR",
        64,
        (
            # In a few large deals: its hours are charged while somebody waits for the first page.
            DemoPool("A1", "h800-80g", 64, "11.20", demand=0.75, parts=4),
            DemoPool("A2", "ascend-910b-64g", 96, "4.10", demand=0.35),
            DemoPool(
                TOUR_POOL, TOUR_CHIP, 24, "3.20", unit_cards=1, demand=0.5, parts=3, grid_seconds=60
            ),
        ),
    ),
    DemoCentre(
        PROVIDER,
        "贵安二号智算中心",
        "Gui'an No. 2",
        "贵州",
        "gzh",
        "government",
        "1.21",
        (600, 240),
        "RoCE v2 400G",
        None,
        (
            DemoPool("B1", "a800-80g", 48, "34000", basis="node_month", demand=0.6),
            DemoPool("B2", "dcu-k100-64g", 64, "2.10", demand=0.15, listed_share=0.5),
        ),
    ),
    DemoCentre(
        "长三角超算联合",
        "芜湖智算中心",
        "Wuhu Compute Centre",
        "安徽",
        "yrd",
        "telecom",
        "1.24",
        (1200, 1010),
        "InfiniBand NDR",
        128,
        (
            DemoPool("C1", "h100-80g", 128, "14.80", demand=0.85),
            DemoPool("C2", "h20-96g", 96, "4.60", demand=0.55),
            DemoPool("C3", "a100-80g", 64, "6.80", schedule="deposit_hourly", demand=0.7, parts=3),
        ),
    ),
    DemoCentre(
        "长三角超算联合",
        "苏州智算中心",
        "Suzhou Compute Centre",
        "江苏",
        "yrd",
        "enterprise",
        "1.29",
        (500, 460),
        "InfiniBand HDR",
        32,
        (
            DemoPool("D1", "h200-141g", 48, "16.90", demand=0.8),
            DemoPool("D2", "rtx4090-24g", 40, "1.75", unit_cards=1, demand=0.6),
        ),
    ),
    DemoCentre(
        "西部绿能算力",
        "中卫绿色智算中心",
        "Zhongwei Green Compute",
        "宁夏",
        "nxa",
        "cloud",
        "1.12",
        (1500, 700),
        "RoCE v2 400G",
        96,
        (
            DemoPool("E1", "ascend-910c-128g", 48, "6.60", demand=0.4),
            DemoPool("E2", "h800-80g", 96, "10.60", demand=0.65),
            DemoPool("E3", "mlu590-96g", 64, "3.00", demand=0.12, listed_share=0.6),
        ),
    ),
    DemoCentre(
        "西部绿能算力",
        "庆阳智算中心",
        "Qingyang Compute Centre",
        "甘肃",
        "gan",
        "cloud",
        "1.15",
        (1100, 390),
        "RoCE v2 400G",
        192,
        (
            # Large and idle: where a cluster of 128 nodes in one fabric is found.
            DemoPool("F1", "ascend-910b-64g", 192, "3.60", demand=0.12, listed_share=0.95),
            DemoPool("F2", "a100-40g", 48, "4.90", demand=0.45),
        ),
    ),
    DemoCentre(
        "西部绿能算力",
        "和林格尔智算中心",
        "Horinger Compute Centre",
        "内蒙古",
        "nmg",
        "telecom",
        "1.16",
        (1600, 820),
        "InfiniBand NDR",
        64,
        (
            DemoPool("G1", "h100-80g", 96, "13.40", demand=0.6),
            DemoPool("G2", "mi300x-192g", 16, "9.80", demand=0.1),
            DemoPool("G3", "dcu-z100l-32g", 96, "1.30", demand=0.08, listed_share=0.4),
        ),
    ),
    DemoCentre(
        "京畿智算",
        "怀来智算中心",
        "Huailai Compute Centre",
        "河北",
        "jjj",
        "enterprise",
        "1.22",
        (800, 640),
        "InfiniBand NDR",
        80,
        (
            DemoPool("H1", "h800-80g", 80, "11.80", demand=0.8),
            DemoPool("H2", "c500-64g", 48, "3.40", demand=0.2),
            DemoPool("H3", "l20-48g", 32, "2.40", unit_cards=2, demand=0.5),
        ),
    ),
    DemoCentre(
        "湾区算力",
        "韶关智算中心",
        "Shaoguan Compute Centre",
        "广东",
        "gba",
        "telecom",
        "1.25",
        (1000, 720),
        "InfiniBand NDR",
        64,
        (
            DemoPool("J1", "b200-180g", 32, "25.80", demand=0.7),
            DemoPool("J2", "h20-96g", 128, "4.30", demand=0.5),
        ),
    ),
    DemoCentre(
        "湾区算力",
        "天府智算中心",
        "Tianfu Compute Centre",
        "四川",
        "cyu",
        "university",
        "1.30",
        (400, 300),
        "InfiniBand HDR",
        None,
        (
            DemoPool("K1", "a800-80g", 64, "5.90", demand=0.55),
            DemoPool("K2", "v100-32g", 120, "1.90", demand=0.25),
        ),
    ),
    DemoCentre(
        "湾区算力",
        "两江智算中心",
        "Liangjiang Compute Centre",
        "重庆",
        "cyu",
        "government",
        "1.27",
        (700, 350),
        "RoCE v2 400G",
        48,
        (
            DemoPool("L1", "ascend-910b-64g", 96, "3.90", demand=0.3),
            DemoPool("L2", "rtx5090-32g", 32, "2.60", unit_cards=1, demand=0.5),
        ),
    ),
    DemoCentre(
        "京畿智算",
        "密云智算中心",
        "Miyun Compute Centre",
        "北京",
        "jjj",
        "university",
        "1.28",
        (300, 255),
        "InfiniBand HDR",
        24,
        (
            DemoPool("M1", "a100-80g", 32, "6.50", demand=0.65),
            DemoPool("M2", "t4-16g", 40, "0.60", unit_cards=1, demand=0.3),
            DemoPool("M3", "a10-24g", 32, "1.20", unit_cards=1, demand=0.35),
        ),
    ),
)
