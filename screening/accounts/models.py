"""Sites, the people who work there, and how they come in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower

from screening.core.models import BaseModel


class Role(models.TextChoices):
    CLINICIAN = "clinician", "Clinician"
    ADMIN = "admin", "Administrator"


class Site(BaseModel):
    """A hospital or practice: the border that patient data never crosses."""

    name = models.CharField(max_length=120, unique=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser, BaseModel):  # type: ignore[django-manager-missing]
    """A person who can sign in. Rights come from memberships only, never from staff flags."""

    email = models.EmailField("e-mail address", blank=True)
    sites = models.ManyToManyField(Site, through="Membership", related_name="users")

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("username"), name="user_username_ci_unique"),
        )

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Membership(BaseModel):
    """What a person may do at one site. An inactive membership gives nothing."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ("user__username",)
        constraints = (
            models.UniqueConstraint(
                fields=("user", "site"), name="membership_once_per_site"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


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

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"invitation for {self.email}"
