"""Settings: every value from the environment, typed, with a safe default.

A secret `NAME` may also be given as `NAME_FILE`, a path to a file that holds it. What has
no safe default fails at start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def env_str(name: str, default: str | None = None) -> str:
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"set {name} or {name}_FILE")
    return value


def env_bool(name: str, default: bool) -> bool:
    return env_str(name, str(default)).lower() in {"1", "true", "yes", "on"}


def env_int(name: str, default: int) -> int:
    return int(env_str(name, str(default)))


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env_str(name, default).split(",") if item.strip()]


def database(url: str, **options: Any) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        "OPTIONS": options,
    }


# Safety
DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_str("SECRET_KEY")
CREDENTIAL_KEYS = env_list("CREDENTIAL_KEYS")  # Fernet keys: the first encrypts, all decrypt
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
HTTPS = env_bool("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024  # a larger JSON body is refused with 413
FILE_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# Databases: the runtime role serves, the owner migrates; both see the same database.
# Statements that come again are prepared: to plan one takes PostgreSQL longer than to run it.
_RUNTIME_POOL = {
    "pool": {
        "min_size": 1,
        "max_size": env_int("DB_POOL_SIZE", 8),
        "timeout": 10,
        # The pool tries less and less often; given up sooner, the next request tries at once.
        "reconnect_timeout": 5,
    },
    "server_side_binding": True,
    "prepare_threshold": 5,
}
DATABASES = {"default": database(env_str("DATABASE_URL"), **_RUNTIME_POOL)}
if "DATABASE_OWNER_URL" in os.environ or "DATABASE_OWNER_URL_FILE" in os.environ:
    DATABASES["owner"] = database(env_str("DATABASE_OWNER_URL"))
DATABASE_ROUTERS: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# What all web processes count together: failed sign-ins.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "marketplace_cache",
    }
}

# Celery
CELERY_BROKER_URL = env_str("CELERY_BROKER_URL", "memory://")
BROKER_VISIBILITY_SECONDS = 600  # longer than the longest task and the longest countdown
if CELERY_BROKER_URL.startswith("pgmq"):
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        # Said outright: the client prefers a DATABASE_URL it finds in the environment.
        "conn_string": "postgresql" + CELERY_BROKER_URL.removeprefix("pgmq"),
        "init_extension": False,
        "visibility_timeout": BROKER_VISIBILITY_SECONDS,
        "use_notify": True,
        "pool_size": 2,
        "wait_time_seconds": 1,
        "poll_interval_ms": 50,
        "polling_interval": 0.2,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": BROKER_VISIBILITY_SECONDS,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
elif CELERY_BROKER_URL.startswith("amqp"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = CELERY_TASK_CREATE_MISSING_QUEUE_TYPE = "quorum"
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
# The sweeps are the guarantee; a dispatch is only a hint.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # A tick nobody took in time is dropped: the next one finds the same rows.
    "step-allocations": {
        "task": "inventory.step_allocations",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    "step-instances": {
        "task": "inventory.step_instances",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    "follow-calendar": {
        "task": "inventory.follow_calendar",
        "schedule": 15.0,
        "options": {"expires": 60},
    },
    "meter-usage": {"task": "inventory.meter_usage", "schedule": 60.0, "options": {"expires": 120}},
    "seal-records": {
        "task": "inventory.seal_records",
        "schedule": 30.0,
        "options": {"expires": 120},
    },
    "ensure-partitions": {"task": "inventory.ensure_partitions", "schedule": 3600.0},
    "follow-leases": {
        "task": "marketplace.follow_leases",
        "schedule": 3.0,
        "options": {"expires": 15},
    },
    "warn-leases": {"task": "marketplace.warn_leases", "schedule": 60.0},
    "expire-amendments": {"task": "marketplace.expire_amendments", "schedule": 60.0},
    "pause-unverified": {
        "task": "marketplace.pause_unverified",
        "schedule": 30.0,
        "options": {"expires": 120},
    },
    "add-up-commitments": {
        "task": "marketplace.add_up_commitments",
        "schedule": 60.0,
        "options": {"expires": 120},
    },
    "expire-reservations": {"task": "billing.expire_reservations", "schedule": 15.0},
    "expire-baskets": {"task": "billing.expire_baskets", "schedule": 15.0},
    "rate-usage": {"task": "billing.rate_usage", "schedule": 60.0},
    "expire-holds": {"task": "billing.expire_holds", "schedule": 60.0},
    "lapse-credit-limits": {"task": "billing.lapse_credit_limits", "schedule": 60.0},
    "take-checkpoints": {
        "task": "billing.take_checkpoints",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "end-unpaid": {"task": "billing.end_unpaid", "schedule": 60.0},
    "close-leases": {"task": "billing.close_leases", "schedule": 60.0},
    "settle-month": {"task": "billing.settle_month", "schedule": 3600.0},
    # Every night, in China: what was computed step by step is computed anew and compared.
    "verify-books": {"task": "billing.verify_books", "schedule": crontab(hour=19, minute=10)},
    "verify-records": {"task": "inventory.verify_records", "schedule": crontab(hour=19, minute=30)},
    "forget-replies": {"task": "marketplace.forget", "schedule": crontab(hour=19, minute=50)},
}

# Applications: composed by strings, so that no package imports upwards.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "marketplace.apps.StaticFiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "pgtrigger",
    "inventory",
    "marketplace",
    "billing",
]
AUTH_USER_MODEL = "inventory.User"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", **options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"OPTIONS": {"user_attributes": ("email", "name")}}),
        ("MinimumLengthValidator", {"OPTIONS": {"min_length": 10}}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
PASSWORD_RESET_TIMEOUT = env_int("PASSWORD_RESET_SECONDS", 2 * 3600)  # of a link in a mail
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
CSRF_FAILURE_VIEW = "marketplace.web.session.stale"
ROOT_URLCONF = "marketplace.urls"
WSGI_APPLICATION = "marketplace.wsgi.application"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "marketplace.http.entry.RequestMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "marketplace.http.entry.EntryMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "marketplace.web.context.console",
            ],
        },
    },
]

# Language and time
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "marketplace" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# Mail: links to set a new password. Without a server they are printed, for development only.
EMAIL_HOST = env_str("EMAIL_HOST", "")
EMAIL_PORT = env_int("EMAIL_PORT", 587)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
DEFAULT_FROM_EMAIL = env_str("DEFAULT_FROM_EMAIL", "Cardhour <no-reply@localhost>")

# Static files
STATIC_URL = "/static/"
STATIC_ROOT = Path(env_str("CARDHOUR_STATIC_ROOT", str(BASE_DIR / ".dev" / "static")))
_NODE = BASE_DIR / "node_modules"
STATICFILES_DIRS = [
    (prefix, path)
    for prefix, path in (
        ("tabler/css", _NODE / "@tabler" / "core" / "dist" / "css"),
        ("inter/files", _NODE / "@fontsource-variable" / "inter" / "files"),
    )
    if path.is_dir()
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# What a page may load: its own host, nothing inline.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

# The REST API
API_BODY_LIMIT = 256 * 1024  # bytes of a JSON body
TRUSTED_PROXY_COUNT = env_int("TRUSTED_PROXY_COUNT", 0)  # reverse proxies before this process
WEB_PROCESSES = env_int("WEB_PROCESSES", 1)  # the limits below are shared out among them
REQUESTS_PER_MINUTE = env_int("REQUESTS_PER_MINUTE", 6000)  # of one key or person; 0: no limit
INVALID_KEYS_PER_MINUTE = env_int("INVALID_KEYS_PER_MINUTE", 60)  # from one address; 0: no limit
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "marketplace.http.authentication.KeyAuthentication",
        "marketplace.http.authentication.ConsoleAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["marketplace.http.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["marketplace.http.limits.CallerThrottle"],
    "DEFAULT_PAGINATION_CLASS": "marketplace.http.pagination.CursorPage",
    "DEFAULT_PARSER_CLASSES": ["marketplace.http.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "marketplace.http.schema.CardhourSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "marketplace.http.problems.handle",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cardhour API",
    "VERSION": "1",
    "DESCRIPTION": (
        "Find, reserve and use accelerator capacity; list it and be paid for it.\n\n"
        "Money is in integer minor units with a currency; prices are in integer millionths of "
        "the major unit. Instants are RFC 3339 in UTC, periods half-open [start, end)."
    ),
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "HubEnum": "inventory.models.HubNode",
        "OwnerKindEnum": "inventory.models.OwnerKind",
        "VerificationEnum": "inventory.models.Verification",
        "PoolStateEnum": "inventory.models.Pool.State",
        "NodeStateEnum": "inventory.models.Node.State",
        "AllocationStateEnum": "inventory.models.Allocation.State",
        "AllocationKindEnum": "inventory.models.Allocation.Kind",
        "ListingStateEnum": "marketplace.models.Listing.State",
        "DealKindEnum": "marketplace.models.Reservation.Kind",
        "ReservationStateEnum": "marketplace.models.Reservation.State",
        "LeaseStateEnum": "marketplace.models.Lease.State",
        "ReceiptStateEnum": "billing.models.BankReceipt.State",
        "SettlementStateEnum": "billing.models.Settlement.State",
        "QuotaAuthorityEnum": "marketplace.models.Quota.Authority",
        "QuotaMeasureEnum": "marketplace.models.Quota.Measure",
        "QuotaWindowEnum": "marketplace.models.Quota.Window",
        "PayByEnum": "marketplace.models.Reservation.PayBy",
        "ChargeKindEnum": "billing.models.Charge.Kind",
        "QuoteKindEnum": "billing.models.Quote.Kind",
        "AmendmentKindEnum": "marketplace.models.Amendment.Kind",
        "AmendmentStateEnum": "marketplace.models.Amendment.State",
        "CallerKindEnum": ["user", "key"],
    },
    "PREPROCESSING_HOOKS": ["marketplace.http.schema.only_the_api"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marketplace.http.schema.document_refusals",
    ],
}

# The market
DEMO = env_bool("DEMO", False)  # a world with known passwords may be made here
# Where tenants transfer money to, as the wallet's page tells them. All three, or it says to ask.
OPERATOR_ACCOUNT_NAME = env_str(
    "OPERATOR_ACCOUNT_NAME", "卡时运营 演示账户 请勿汇款" if DEMO else ""
)
OPERATOR_BANK_NAME = env_str("OPERATOR_BANK_NAME", "示例银行北京中关村支行" if DEMO else "")
OPERATOR_ACCOUNT_NUMBER = env_str(
    "OPERATOR_ACCOUNT_NUMBER", "0000 1234 5678 9012 345" if DEMO else ""
)
DEFAULT_CURRENCY = "CNY"
BILLING_ZONE = "Asia/Shanghai"
OPERATOR_FEE_BPS = env_int("OPERATOR_FEE_BPS", 800)  # of the net price, frozen in each version
SEARCH_MAP_SECONDS = 0.3  # how old the map that answers a search may be
OFFER_SECONDS = env_int("OFFER_SECONDS", 600)  # how long a signed offer can be posted back
HOLD_SECONDS = env_int("HOLD_SECONDS", 900)  # how long capacity is kept for a wallet
QUOTE_SECONDS = env_int("QUOTE_SECONDS", 600)  # how long a change of a lease is promised
AMENDMENT_HOURS = env_int("AMENDMENT_HOURS", 72)  # how long a proposed one waits for its answer
LEASE_WARNING_HOURS = env_int("LEASE_WARNING_HOURS", 72)  # before its end both sides are warned
# What a provider may come to owe by compensations, minor units: the tenant has them at once.
PROVIDER_DEBT_MINOR = env_int("PROVIDER_DEBT_MINOR", 10_000_000)
HOLD_DEPOSIT_BPS = env_int("HOLD_DEPOSIT_BPS", 100)  # kept aside while held, of the total
HOLD_DEPOSIT_MOST_BPS = env_int("HOLD_DEPOSIT_MOST_BPS", 10_000)  # however many holds lapsed
BANK_HOLD_DAY_BPS = env_int(
    "BANK_HOLD_DAY_BPS", 100
)  # more, for each day begun until a pay-by date
PAY_BY_BUSINESS_DAYS = env_int(
    "PAY_BY_BUSINESS_DAYS", 3
)  # for a bank transfer; 0: none is held for
PAY_BY_HOUR = env_int("PAY_BY_HOUR", 17)  # when a business day ends, on the calendar's clock
BUSINESS_CALENDAR = env_str(
    "BUSINESS_CALENDAR", str(BASE_DIR / "marketplace" / "data" / "business_days_cn.json")
)
HOLD_CARD_HOURS_LIMIT = env_int("HOLD_CARD_HOURS_LIMIT", 20_000_000)  # held at once by one tenant
CLOCK_TOLERANCE_SECONDS = 5  # an instant further ahead of the database's clock is refused

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_str("LOG_LEVEL", "INFO")},
}
