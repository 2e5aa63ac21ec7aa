from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "screening.studies"
    label = "studies"

    def ready(self) -> None:
        from screening.studies import pixels, selectors, storage

        storage.register_folder(
            storage.IMAGES, selectors.image_names_in_use, files=selectors.image_files
        )
        storage.register_folder(pixels.PIXELS, pixels.names_in_use)
