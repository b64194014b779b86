from django.apps import AppConfig
from django.contrib.staticfiles.apps import StaticFilesConfig


class MarketplaceConfig(AppConfig):
    name = "marketplace"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from marketplace import checks  # noqa: F401, PLC0415 - registers itself once apps are ready


class StaticFiles(StaticFilesConfig):
    """Of the stylesheet's forty builds one is served; hashing and compressing all takes minutes."""

    ignore_patterns = [
        *StaticFilesConfig.ignore_patterns,
        "tabler-*.css*",
        "tabler.css*",
        "*.rtl.*",
        "inter-*-italic.woff2",
        "inter-*-opsz-*.woff2",
        "inter-*-standard-*.woff2",
    ]
