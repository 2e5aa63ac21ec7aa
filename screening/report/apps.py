from django.apps import AppConfig


class ReportConfig(AppConfig):
    name = "screening.report"
    label = "report"

    def ready(self) -> None:
        from screening.report import selectors
        from screening.studies import storage

        storage.register_folder(
            selectors.REPORTS, selectors.file_names_in_use, files=selectors.report_files
        )
