"""Sites, the people who work there, and how they come in."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, AnonymousUser, UserManager
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from screening.core.models import BaseModel
from screening.core.row_rules import NotLimited


class Role(models.TextChoices):
    CLINICIAN = "clinician", _("Clinician")
    ADMIN = "admin", _("Administrator")
    DEVICE = "device", _("Device")

    @classmethod
    def of_people(cls) -> list[tuple[str, str]]:
        """The roles that a person may be given, with their names."""
        return [(role.value, str(role.label)) for role in cls if role != cls.DEVICE]


def roles_that_need_a_second_factor() -> list[str]:
    """What a new site asks for: whoever can change what others may do."""
    return [Role.ADMIN.value]


class SiteQuerySet(models.QuerySet["Site"]):
    def of_member(self, user: User | AnonymousUser) -> SiteQuerySet:
        """The sites where ``user`` is an active member, in whatever role."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(
            pk__in=Membership.objects.filter(user=user, is_active=True).values("site_id")
        )


class Site(BaseModel):
    """A hospital or practice: the border that patient data never crosses.

    An empty ``time_zone`` is the deployment's, and so is an empty ``idle_minutes``: after so long
    in which a person did nothing, the session ends. Members in one of ``second_factor_roles``
    can do nothing at all before they have signed in with a second factor.
    """

    name = models.CharField(max_length=120, unique=True)
    time_zone = models.CharField(max_length=64, blank=True)
    second_factor_roles = models.JSONField(default=roles_that_need_a_second_factor, blank=True)
    idle_minutes = models.PositiveSmallIntegerField(null=True, blank=True)

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
    """A person who can sign in. Rights come from memberships only, never from staff flags.

    ``language`` and ``time_zone`` are what the person chose to read the portal in; empty is what
    the browser asks for, and the site's.
    """

    email = models.EmailField("e-mail address", blank=True)
    sites = models.ManyToManyField(Site, through="Membership", related_name="users")
    language = models.CharField(max_length=12, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)

    objects: ClassVar[PortalUserManager] = PortalUserManager()

    # What the API token in use lets through; ``None`` where a person acts. See ``scopes``.
    token_reach: frozenset[str] | None = None

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

    def of_people(self) -> MembershipQuerySet:
        """Those of people, without the devices'."""
        return self.exclude(role=Role.DEVICE)


class Membership(BaseModel):
    """What a person may do at one site. An inactive membership gives nothing.

    One that ``follows_groups`` was given by groups of the identity provider, and goes with them.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    is_active = models.BooleanField(default=True)
    follows_groups = models.BooleanField(default=False)

    row_security = NotLimited("Who works where is asked before it is known whose sites to show.")

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ("user__username",)
        constraints = (
            models.UniqueConstraint(fields=("user", "site"), name="membership_once_per_site"),
        )

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


class OutsideIdentity(BaseModel):
    """Who somebody is at the identity provider: its issuer and the subject that it never reuses."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="outside_identity")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("issuer", "subject"), name="outside_identity_once"),
        )

    def __str__(self) -> str:
        return f"{self.user.get_username()} elsewhere"


class SessionQuerySet(models.QuerySet["Session"]):
    def visible_to(self, user: User | AnonymousUser) -> SessionQuerySet:
        """One's own sessions: nobody else sees from where somebody signed in."""
        return self.filter(user=user.pk) if user.is_authenticated else self.none()


class Session(AbstractBaseSession):
    """A browser's session, as ``session_store`` writes it. Removing the row ends it.

    ``session_key`` holds the SHA-256 of the key in the cookie. The other columns repeat what the
    data says, so that a person's sessions can be listed and ended; they are empty for somebody
    who has not signed in. ``handle`` names the session in addresses and in the audit.
    """

    session_key = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")
    handle = models.UUIDField(null=True)
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    address = models.GenericIPAddressField(null=True)
    device = models.CharField(max_length=60, blank=True)

    objects: ClassVar[Any] = SessionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ("-seen_at",)

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        from screening.accounts.session_store import SessionStore  # it imports this module

        return SessionStore


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

    row_security = NotLimited("It is found by its link, by somebody who belongs nowhere yet.")

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"invitation for {self.email}"


class ServiceAccountQuerySet(models.QuerySet["ServiceAccount"]):
    def visible_to(self, user: User | AnonymousUser) -> ServiceAccountQuerySet:
        """The devices of every site at which ``user`` is an active member."""
        return self.filter(site__in=Site.objects.of_member(user))


class ServiceAccount(BaseModel):
    """A device or system of a site that uses the API by itself; ``owner`` answers for it.

    Behind it stands a ``user`` without a password, whose one membership (role ``device``) says
    what it may do and whether it is active.
    """

    user = models.OneToOneField(User, on_delete=models.PROTECT, related_name="service_account")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="service_accounts")
    name = models.CharField(max_length=60)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    row_security = NotLimited("A device is recognised by its token before its site is known.")

    objects = ServiceAccountQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint("site", Lower("name"), name="device_name_once_per_site"),
        )

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    """What a token may be used for, within what the role of its person allows."""

    READ = "read", _("Read: patients, studies, readings, reports")
    UPLOAD = "upload", _("Upload: register patients, send X-rays")
    CLINICAL = "clinical", _("Clinical: work the worklist, write readings, diagnoses, reports")
    ADMIN = "admin", _("Admin: people, tokens, settings")


def every_scope() -> list[str]:
    return list(Scope.values)


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def visible_to(self, user: User | AnonymousUser) -> ApiTokenQuerySet:
        """The tokens of everybody who works at a site where ``user`` does."""
        colleagues = Membership.objects.visible_to(user).filter(is_active=True)
        return self.filter(user__in=colleagues.values("user_id"))

    def living(self) -> ApiTokenQuerySet:
        """Those that have not expired."""
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()))


class ApiToken(BaseModel):
    """Lets a program act as a person or a device, until it expires or is revoked.

    As with invitations only the SHA-256 is kept; ``hint`` is the end of the secret, by which
    somebody recognises it. ``last_used_at`` is exact to a minute, so that reading does not
    become writing, and ``last_used_from`` the address of that use. ``made_by`` is the admin who
    made it for a device.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60, blank=True)
    scopes = models.JSONField(default=every_scope)
    token_sha256 = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=4, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.GenericIPAddressField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    made_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"API token of {self.user.get_username()}"

    @property
    def scope_labels(self) -> list[str]:
        return [str(scope.label) for scope in Scope if scope.value in self.scopes]


class AttemptCount(models.Model):
    """How often something secret was guessed wrongly, and until when nobody may guess again.

    In the database and not in a cache, because every process must see it and it must hold while
    Redis is away. ``key`` is a keyed digest of what is counted (see ``services.limits``): user
    names that somebody tried can't be read from it.
    """

    key = models.CharField(max_length=64, unique=True)
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(default=timezone.now, db_index=True)
    blocked_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.failures} failures"
