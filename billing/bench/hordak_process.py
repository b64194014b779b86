"""Posts with django-hordak when asked on standard input. A program, not a module of Cardhour."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings

ACCOUNTS = 64


def configure() -> None:
    url = urlsplit(os.environ["HORDAK_DATABASE_URL"])
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path[1:],
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname,
        "PORT": url.port,
        "CONN_MAX_AGE": None,
        "OPTIONS": {"options": "-c search_path=bench_hordak"},
    }
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "mptt",
            "hordak",
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SECRET_KEY=os.urandom(16).hex(),
        DEFAULT_CURRENCY="CNY",
        CURRENCIES=["CNY"],
    )
    django.setup()


def main() -> None:
    configure()
    from django.core.management import call_command  # noqa: PLC0415  settings come first
    from django.db import connection, transaction  # noqa: PLC0415
    from hordak.models import Account, AccountType, Leg, Transaction  # noqa: PLC0415
    from moneyed import Money  # noqa: PLC0415

    with open(os.devnull, "w") as quiet:
        call_command("migrate", verbosity=0, interactive=False, stdout=quiet)

    def account(name: str, code: str, kind: str) -> Account:
        return Account.objects.create(name=name, code=code, type=kind, currencies=["CNY"])

    wallets = [account(f"wallet {n}", f"1{n:03d}", AccountType.liability) for n in range(ACCOUNTS)]
    providers = [account(f"provider {n}", f"2{n:03d}", AccountType.liability) for n in range(16)]
    fee = account("fee", "3000", AccountType.income)
    gross, fee_part = Money(Decimal("6.80"), "CNY"), Money(Decimal("0.68"), "CNY")
    share = gross - fee_part

    def post(number: int) -> None:
        with transaction.atomic():
            row = Transaction.objects.create(description="usage")
            Leg.objects.create(transaction=row, account=wallets[number % ACCOUNTS], debit=gross)
            Leg.objects.create(transaction=row, account=providers[number % 16], credit=share)
            Leg.objects.create(transaction=row, account=fee, credit=fee_part)

    numbers = itertools.count()

    def client(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            post(next(numbers))
            done += 1
        connection.close()
        return done

    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        with ThreadPoolExecutor(asked["clients"]) as threads:
            counts = threads.map(client, [began + asked["seconds"]] * asked["clients"])
            total = sum(counts)
        rate = total / (time.perf_counter() - began)
        print(json.dumps({"per_second": rate}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
