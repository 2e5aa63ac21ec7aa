from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "screening.studies"
    label = "studies"

    def ready(self) -> None:
        from screening.studies import selectors, storage

        storage.register_folder(storage.IMAGES, selectors.image_names_in_use)
