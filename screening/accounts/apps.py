from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "screening.accounts"
    label = "accounts"

    def ready(self) -> None:
        # Importing them registers them.
        from screening.accounts import schema, signals  # noqa: F401
