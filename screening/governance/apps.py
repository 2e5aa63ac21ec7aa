from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "screening.governance"
    label = "governance"

    def ready(self) -> None:
        from screening.governance.operating_points import provide_point
        from screening.inference.points import register_provider

        register_provider(provide_point)
