from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "screening.accounts"
    label = "accounts"
