"""Legal entities, their people and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced

if TYPE_CHECKING:
    from inventory.actors import Actor


class Verification(models.TextChoices):
    """How far the operator has checked that the entity exists and may trade."""

    UNVERIFIED = "unverified", _("unverified")
    """Registered; may look, may not list, hold or be paid."""
    PENDING = "pending", _("pending")
    """Papers handed in; the operator decides."""
    VERIFIED = "verified", _("verified")
    """Checked; may trade. The operator may take it back."""
    REJECTED = "rejected", _("rejected")
    """Papers refused; may hand in again."""


class OrganisationQuerySet(models.QuerySet["Organisation"]):
    def visible_to(self, actor: Actor) -> OrganisationQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(pk=actor.organisation_id or 0)


@enforced
class Organisation(models.Model):
    """A legal entity (机构): provider, tenant, reseller or several. The operator is one too.

    It is not a person: people are users with a membership.
    """

    LIFECYCLE: ClassVar = Lifecycle(
        {
            Verification.UNVERIFIED: [Verification.PENDING, Verification.VERIFIED],
            Verification.PENDING: [Verification.VERIFIED, Verification.REJECTED],
            Verification.VERIFIED: [Verification.PENDING, Verification.REJECTED],
            Verification.REJECTED: [Verification.PENDING],
        }
    )

    public_id = PublicIdField(prefix="org")
    name = models.CharField(max_length=200)
    name_en = models.CharField(max_length=200, blank=True)
    credit_code = models.CharField(  # 统一社会信用代码, GB 32100-2015: 18 characters
        max_length=18, null=True, blank=True
    )
    is_provider = models.BooleanField(default=False)
    is_tenant = models.BooleanField(default=False)
    is_reseller = models.BooleanField(default=False)
    is_operator = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=Verification, default=Verification.UNVERIFIED)
    created_at = models.DateTimeField()

    objects = OrganisationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["credit_code"], name="organisation_credit_code_once"),
            models.UniqueConstraint(
                fields=["is_operator"], condition=Q(is_operator=True), name="one_operator"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"

    @property
    def is_verified(self) -> bool:
        return self.state == Verification.VERIFIED


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in by e-mail. What they may do comes from their memberships."""

    public_id = PublicIdField(prefix="usr")
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100, blank=True)
    language = models.CharField(max_length=10, blank=True)  # chosen; else the browser's
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(null=True, blank=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email


class Membership(models.Model):
    """What one person may do for one organisation, possibly only until an instant."""

    class Role(models.TextChoices):
        OWNER = "owner", _("owner")
        """Everything, members and keys included."""
        OPERATOR = "operator", _("operator")
        """Runs machines, listings and deals; no members, no money out."""
        FINANCE = "finance", _("finance")
        """Wallet, receipts, settlements; no machines."""
        VIEWER = "viewer", _("viewer")
        """Reads."""
        AUDITOR = "auditor", _("auditor")
        """Reads everything of everyone, for a limited time; every read is journalled."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=Role)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "organisation"], name="one_membership_per_organisation"
            ),
            models.CheckConstraint(
                condition=~Q(role="auditor") | Q(expires_at__isnull=False),
                name="auditor_is_time_limited",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} of {self.organisation_id}"


class Project(models.Model):
    """A tenant's own division of its leases and keys; money and limits can be told apart by it."""

    public_id = PublicIdField(prefix="prj")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="projects"
    )
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="project_name_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def visible_to(self, actor: Actor) -> ApiKeyQuerySet:
        rows = self.filter(organisation_id=actor.organisation_id or 0)
        return rows.filter(project_id=actor.project_id) if actor.project_id else rows


class ApiKey(models.Model):
    """A machine's way in: `ck_live_<lookup>_<secret>`; only a digest of the secret is kept."""

    public_id = PublicIdField(prefix="key")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="api_keys"
    )
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)
    name = models.CharField(max_length=100)
    lookup = models.CharField(max_length=8, unique=True)
    secret_sha256 = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=40))
    ip_allow = ArrayField(models.CharField(max_length=43), default=list, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True)
    maker = models.ForeignKey(  # the key that made this one; revoked with it
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="made"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} (ck_live_{self.lookup}_…)"
