"""Sites, the people who work there, and how they come in."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser, AnonymousUser, UserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from screening.core.models import BaseModel


class Role(models.TextChoices):
    CLINICIAN = "clinician", "Clinician"
    ADMIN = "admin", "Administrator"


class SiteQuerySet(models.QuerySet["Site"]):
    def of_member(self, user: User | AnonymousUser) -> SiteQuerySet:
        """The sites where ``user`` is an active member, in whatever role."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(
            pk__in=Membership.objects.filter(user=user, is_active=True).values("site_id")
        )


class Site(BaseModel):
    """A hospital or practice: the border that patient data never crosses."""

    name = models.CharField(max_length=120, unique=True)

    objects = SiteQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class PortalUserManager(UserManager["User"]):
    use_in_migrations = False

    def get_by_natural_key(self, username: str | None) -> User:
        """Find whoever signs in as ``username``, however it is capitalised.

        Written so that PostgreSQL answers from the unique index on the lower-case name.
        """
        return self.alias(folded=Lower("username")).get(folded=(username or "").lower())


class User(AbstractUser, BaseModel):
    """A person who can sign in. Rights come from memberships only, never from staff flags."""

    email = models.EmailField("e-mail address", blank=True)
    sites = models.ManyToManyField(Site, through="Membership", related_name="users")

    objects: ClassVar[PortalUserManager] = PortalUserManager()

    class Meta:
        constraints = (models.UniqueConstraint(Lower("username"), name="user_username_ci_unique"),)

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class MembershipQuerySet(models.QuerySet["Membership"]):
    def visible_to(self, user: User | AnonymousUser) -> MembershipQuerySet:
        """The memberships of every site at which ``user`` is an active member.

        Colleagues exist for each other; what one may do to another is asked of the policy.
        """
        return self.filter(site__in=Site.objects.of_member(user))


class Membership(BaseModel):
    """What a person may do at one site. An inactive membership gives nothing."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    is_active = models.BooleanField(default=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ("user__username",)
        constraints = (
            models.UniqueConstraint(fields=("user", "site"), name="membership_once_per_site"),
        )

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def visible_to(self, user: User | AnonymousUser) -> InvitationQuerySet:
        """The invitations to every site at which ``user`` is an active member."""
        return self.filter(site__in=Site.objects.of_member(user))

    def pending(self) -> InvitationQuerySet:
        """Those whose link still works."""
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


class Invitation(BaseModel):
    """A single-use link by which a new colleague joins a site.

    Only the SHA-256 of the token is kept: whoever reads the database can't use the link.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField("e-mail address")
    role = models.CharField(max_length=20, choices=Role.choices)
    token_sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"invitation for {self.email}"


class ApiToken(BaseModel):
    """Lets a program act as a person, until it expires or is revoked.

    As with invitations only the SHA-256 is kept. ``last_used_at`` is exact to a minute, so that
    reading does not become writing.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    token_sha256 = models.CharField(max_length=64, unique=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"API token of {self.user.get_username()}"
