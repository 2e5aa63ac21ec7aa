from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "screening.inference"
    label = "inference"

    def ready(self) -> None:
        from screening.inference import selectors, services
        from screening.studies import storage
        from screening.studies.signals import image_received

        image_received.connect(services.queue_received_image, dispatch_uid="inference.queue_job")
        storage.register_folder(
            storage.HEATMAPS, selectors.heatmap_names_in_use, files=selectors.heatmap_files
        )
