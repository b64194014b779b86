"""The chart of accounts: what each is called. `sql/ledger_functions.sql` says how each behaves."""

from __future__ import annotations

from inventory.models import Organisation


def wallet(organisation: Organisation, currency: str) -> str:
    return f"liability:wallet:{organisation.public_id}:{currency}"


def deposit(organisation: Organisation, currency: str) -> str:
    """What the tenant paid ahead for its leases."""
    return f"liability:deposit:{organisation.public_id}:{currency}"


def security(organisation: Organisation, currency: str) -> str:
    """押金: kept until the lease is over, never charged from."""
    return f"liability:security:{organisation.public_id}:{currency}"


def arrears(organisation: Organisation, currency: str) -> str:
    """What the tenant used and, by its terms, need not pay yet."""
    return f"asset:tenant_arrears:{organisation.public_id}:{currency}"


def receivable(organisation: Organisation, currency: str) -> str:
    """What the tenant owes: due, and its wallet could not pay."""
    return f"asset:tenant_receivable:{organisation.public_id}:{currency}"


def provider_accrued(organisation: Organisation, currency: str) -> str:
    return f"liability:provider_accrued:{organisation.public_id}:{currency}"


def provider_settling(organisation: Organisation, currency: str) -> str:
    return f"liability:provider_settling:{organisation.public_id}:{currency}"


def provider_reserve(organisation: Organisation, currency: str) -> str:
    """Kept back of settlements for a while, against late corrections and disputes."""
    return f"liability:provider_reserve:{organisation.public_id}:{currency}"


def provider_receivable(organisation: Organisation, currency: str) -> str:
    return f"asset:provider_receivable:{organisation.public_id}:{currency}"


def bank(currency: str) -> str:
    return f"asset:bank:{currency}"


def stripe(currency: str) -> str:
    return f"asset:stripe:{currency}"


def transit(currency: str) -> str:
    """Left Stripe, and not at the bank yet."""
    return f"asset:transit:{currency}"


def dispute_receivable(currency: str) -> str:
    return f"asset:dispute_receivable:{currency}"


def fx(currency: str) -> str:
    """Half of an exchange; the other half is `fx` of the other currency."""
    return f"asset:fx:{currency}"


def input_vat(currency: str) -> str:
    return f"asset:input_vat:{currency}"


def unmatched_receipts(currency: str) -> str:
    return f"liability:unmatched_receipts:{currency}"


def vat(currency: str) -> str:
    return f"liability:vat:{currency}"


def adjustment(currency: str) -> str:
    return f"equity:adjustment:{currency}"


def fee(currency: str) -> str:
    return f"revenue:fee:{currency}"


def sales(currency: str) -> str:
    """Resale: what the operator sold in its own name, without VAT."""
    return f"revenue:sales:{currency}"


def forfeit(currency: str) -> str:
    return f"revenue:forfeit:{currency}"


def cost_of_sales(currency: str) -> str:
    """Resale: what the provider gets of it."""
    return f"expense:cost_of_sales:{currency}"


def psp_fee(currency: str) -> str:
    return f"expense:psp_fee:{currency}"


def bank_fee(currency: str) -> str:
    return f"expense:bank_fee:{currency}"


def sla_credit(currency: str) -> str:
    return f"expense:sla_credit:{currency}"


def bad_debt(currency: str) -> str:
    return f"expense:bad_debt:{currency}"


def fx_difference(currency: str) -> str:
    """汇兑损益: what exchanges cost; negative where they gained."""
    return f"expense:fx_difference:{currency}"
