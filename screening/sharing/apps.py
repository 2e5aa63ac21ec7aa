from django.apps import AppConfig


class SharingConfig(AppConfig):
    name = "screening.sharing"
    label = "sharing"

    def ready(self) -> None:
        from screening.sharing import selectors
        from screening.studies import storage

        storage.register_folder(
            selectors.EXPORTS, selectors.file_names_in_use, files=selectors.export_files
        )
