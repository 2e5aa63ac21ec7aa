from django.apps import AppConfig


class WorklistConfig(AppConfig):
    name = "screening.worklist"
    label = "worklist"

    def ready(self) -> None:
        from screening.reading.signals import reading_signed
        from screening.studies.signals import study_summed_up
        from screening.worklist import upkeep

        study_summed_up.connect(upkeep.follow_study, dispatch_uid="worklist.follow_study")
        reading_signed.connect(upkeep.close_read_study, dispatch_uid="worklist.close_read_study")
