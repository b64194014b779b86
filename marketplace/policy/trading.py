"""Who may trade."""

from __future__ import annotations

from inventory.errors import Forbidden
from inventory.models import Organisation


class OrganisationUnverified(Forbidden):
    """The operator has not verified this organisation: it may look, not trade."""

    code = "organisation_unverified"
    title = "The organisation is not verified"


def require_verified(organisation: Organisation) -> None:
    """Raises OrganisationUnverified."""
    if not organisation.is_verified:
        raise OrganisationUnverified(
            "The operator has to verify the organisation before it can trade",
            state=organisation.state,
        )


def require_tenant(organisation: Organisation) -> None:
    """Raises Forbidden where it is no tenant, OrganisationUnverified."""
    if not organisation.is_tenant:
        raise Forbidden("This organisation is not registered as a tenant")
    require_verified(organisation)
