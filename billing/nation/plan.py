"""How large the country is and what stands where. Every name is invented; the regions are real."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

# Region: its name in English, its hub, the weight of its share of the centres.
REGIONS = {
    "北京": ("Beijing", "jjj", 12), "天津": ("Tianjin", "jjj", 6), "河北": ("Hebei", "jjj", 14),
    "上海": ("Shanghai", "yrd", 12), "江苏": ("Jiangsu", "yrd", 14),
    "浙江": ("Zhejiang", "yrd", 12), "安徽": ("Anhui", "yrd", 12),
    "广东": ("Guangdong", "gba", 20), "四川": ("Sichuan", "cyu", 12),
    "重庆": ("Chongqing", "cyu", 9), "内蒙古": ("Inner Mongolia", "nmg", 16),
    "贵州": ("Guizhou", "gzh", 16), "甘肃": ("Gansu", "gan", 12), "宁夏": ("Ningxia", "nxa", 12),
    "山东": ("Shandong", "none", 10), "河南": ("Henan", "none", 8), "湖北": ("Hubei", "none", 9),
    "湖南": ("Hunan", "none", 7), "陕西": ("Shaanxi", "none", 8), "山西": ("Shanxi", "none", 6),
    "福建": ("Fujian", "none", 6), "江西": ("Jiangxi", "none", 4),
    "辽宁": ("Liaoning", "none", 5), "吉林": ("Jilin", "none", 2),
    "黑龙江": ("Heilongjiang", "none", 3), "广西": ("Guangxi", "none", 4),
    "云南": ("Yunnan", "none", 3), "海南": ("Hainan", "none", 2), "青海": ("Qinghai", "none", 4),
    "新疆": ("Xinjiang", "none", 6), "西藏": ("Tibet", "none", 1),
}  # fmt: skip
OWNER_KINDS = ("government", "telecom", "cloud", "enterprise", "university")
TECHNOLOGIES = ("InfiniBand NDR", "RoCE v2 400G", "InfiniBand HDR", "RoCE v2 200G")

# Chip: CNY fen per card-hour, tax included; from the demo world, where their like is sold.
WHOLE = {
    "ascend-910b-64g": 390, "h800-80g": 1080, "a800-80g": 590, "h20-96g": 440, "h100-80g": 1360,
    "ascend-910c-128g": 660, "a100-80g": 660, "dcu-k100-64g": 210, "mlu590-96g": 300,
    "h200-141g": 1690, "c500-64g": 340, "a100-40g": 490, "b200-180g": 2580, "v100-32g": 190,
}  # fmt: skip
SLICED = {"rtx4090-24g": 175, "l40s-48g": 320, "l20-48g": 240, "a10-24g": 120, "t4-16g": 60}

PROVIDERS_PER_REGION = 2
LISTED_SHARE = 0.9  # of the units
OWN_USE_SHARE = 0.05  # of the nodes, in a quarter of the larger pools
LARGE = 100  # nodes from which a pool keeps spares

# Whoever is registered under such a name is part of the nation or of a bench on it.
OWN_NAMES = r"^国测(供给|租户|压测)\d+号$"


@dataclass(frozen=True, slots=True)
class Site:
    """A centre."""

    number: int
    region: str
    region_en: str
    hub: str
    owner_kind: str
    provider_number: int

    @property
    def name(self) -> str:
        return f"{self.region}智算中心{self.number:03d}"

    @property
    def name_en(self) -> str:
        return f"{self.region_en} Compute Centre {self.number:03d}"


@dataclass(frozen=True, slots=True)
class Stock:
    """A pool, as large as `nodes`, in the centre of a number."""

    number: int
    site_number: int
    nodes: int
    chip: str
    unit_cards: int | None  # None: whole nodes
    price_fen: int
    technology: str
    proved: int | None  # nodes in one collective run, where somebody proved it
    lead_seconds: int
    turnaround_seconds: int
    grid_seconds: int

    @property
    def name(self) -> str:
        return f"N{self.number:04d}"

    @property
    def spares(self) -> int:
        return self.nodes // LARGE

    @property
    def own_use_nodes(self) -> int:
        return (
            int(self.nodes * OWN_USE_SHARE) if self.nodes >= LARGE and self.number % 4 == 0 else 0
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A country by its numbers; the same numbers and seed make the same one."""

    site_count: int
    pool_sizes: tuple[int, ...]  # nodes
    tenant_count: int = 200
    seed: int = 1
    past_days: int = 730  # it was founded so long ago
    # Of the units on sale, by turns from pool to pool; the rest is the centre's own, or idle.
    listed_shares: tuple[float, ...] = (LISTED_SHARE,)

    def sites(self) -> list[Site]:
        regions = list(REGIONS.items())
        weights = [weight for _, (_, _, weight) in regions]
        rng = random.Random(f"{self.seed}:sites")
        sites = []
        for number in range(1, self.site_count + 1):
            # Every region has a centre before chance decides on the others.
            ((region, (region_en, hub, _)),) = (
                [regions[number - 1]] if number <= len(regions) else rng.choices(regions, weights)
            )
            place = regions.index((region, REGIONS[region]))
            provider = place * PROVIDERS_PER_REGION + rng.randrange(PROVIDERS_PER_REGION) + 1
            sites.append(Site(number, region, region_en, hub, rng.choice(OWNER_KINDS), provider))
        return sites

    def stocks(self) -> Iterator[Stock]:
        """The largest first; the largest pools sell whole nodes only."""
        rng = random.Random(f"{self.seed}:stocks")
        whole = list(WHOLE)
        for number, nodes in enumerate(self.pool_sizes, start=1):
            sliced = nodes < LARGE and rng.random() < 0.15
            chip = rng.choice(list(SLICED)) if sliced else whole[(number - 1) % len(whole)]
            usual = (SLICED if sliced else WHOLE)[chip]
            yield Stock(
                number=number,
                site_number=(number - 1) % self.site_count + 1,
                nodes=nodes,
                chip=chip,
                unit_cards=rng.choice((1, 2, 4)) if sliced else None,
                price_fen=round(usual * rng.uniform(0.8, 1.25)),
                technology=rng.choice(TECHNOLOGIES),
                proved=max(1, nodes // rng.choice((1, 2, 4))) if rng.random() < 0.4 else None,
                lead_seconds=3600 if number % 5 == 3 else 0,
                turnaround_seconds=3600 if number % 3 == 0 else 0,
                grid_seconds=60 if number % 5 == 2 else 3600,
            )


# 1 × 12,500, 4 × 2,500, 20 × 500, 75 × 100 and 900 × 11 nodes, of which a hundred have one more.
NATION = Plan(
    site_count=250,
    pool_sizes=(12_500, *[2_500] * 4, *[500] * 20, *[100] * 75, *[12] * 100, *[11] * 800),
)

# The same country as it was in the first half of 2024: 400,000 cards for 177 days are 1.7 billion
# card-hours on line. Many never came on the market; see `usage`.
EARLY_2024 = Plan(
    site_count=NATION.site_count,
    pool_sizes=NATION.pool_sizes,
    past_days=177,
    listed_shares=(0.9, 0.7, 0.85, 0.25, 0.9, 0.55, 0.8, 0.4, 0.9, 0.65),
)
