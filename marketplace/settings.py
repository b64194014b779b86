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
    "pull-telemetry": {
        "task": "inventory.pull_telemetry",
        "schedule": 15.0,
        "options": {"expires": 60},
    },
    "seal-telemetry": {
        "task": "inventory.seal_telemetry",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "read-meters": {
        "task": "inventory.read_meters",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "look-at-health": {
        "task": "inventory.look_at_health",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "keep-fault-rates": {
        "task": "inventory.keep_fault_rates",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "seal-records": {
        "task": "inventory.seal_records",
        "schedule": 30.0,
        "options": {"expires": 120},
    },
    "tell-of-late-tasks": {"task": "inventory.tell_of_late_tasks", "schedule": 60.0},
    "ensure-partitions": {"task": "inventory.ensure_partitions", "schedule": 3600.0},
    "follow-leases": {
        "task": "marketplace.follow_leases",
        "schedule": 3.0,
        "options": {"expires": 15},
    },
    "count-card-hours": {
        "task": "marketplace.count_card_hours",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "verify-rollups": {
        "task": "marketplace.verify_rollups",
        "schedule": crontab(hour=20, minute=10),  # four in the morning in China
        "options": {"expires": 3600},
    },
    "make-audit-reports": {
        "task": "billing.make_audit_reports",
        "schedule": crontab(hour=21, minute=0),
        "options": {"expires": 3600},
    },
    "mail-audit": {
        "task": "billing.mail_audit",
        "schedule": crontab(hour=22, minute=0),
        "options": {"expires": 3600},
    },
    "tell-of-idle-cards": {"task": "marketplace.tell_of_idle_cards", "schedule": 3600.0},
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
    "follow-incidents": {
        "task": "marketplace.follow_incidents",
        "schedule": 15.0,
        "options": {"expires": 60},
    },
    "escalate-cases": {"task": "marketplace.escalate_cases", "schedule": 60.0},
    "make-notifications": {
        "task": "marketplace.make_notifications",
        "schedule": 5.0,
        "options": {"expires": 30},
    },
    "send-notifications": {
        "task": "marketplace.send_notifications",
        "schedule": 5.0,
        "options": {"expires": 30},
    },
    "expire-reservations": {"task": "billing.expire_reservations", "schedule": 15.0},
    "expire-baskets": {"task": "billing.expire_baskets", "schedule": 15.0},
    "collect-instalments": {"task": "billing.collect_instalments", "schedule": 60.0},
    "dun": {"task": "billing.dun", "schedule": 60.0},
    "warn-of-runway": {"task": "billing.warn_of_runway", "schedule": 300.0},
    "confirm-paid-deals": {"task": "billing.confirm_paid_deals", "schedule": 10.0},
    "assign-virtual-accounts": {"task": "billing.assign_virtual_accounts", "schedule": 60.0},
    "warn-of-unmatched": {"task": "billing.warn_of_unmatched", "schedule": crontab(hour=1)},
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
    # After rating and before invoices become final: a credit is a line of its month's.
    "credit-service-levels": {
        "task": "billing.credit_service_levels",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    "settle-month": {"task": "billing.settle_month", "schedule": 3600.0},
    "release-reserves": {"task": "billing.release_reserves", "schedule": 3600.0},
    "step-payouts": {
        "task": "billing.step_payouts",
        "schedule": 15.0,
        "options": {"expires": 60},
    },
    "refresh-invoices": {
        "task": "billing.refresh_invoices",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    "finalise-invoices": {
        "task": "billing.finalise_invoices",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "follow-payments": {"task": "billing.follow_payments", "schedule": 900.0},
    "render-invoices": {
        "task": "billing.render_invoices",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "issue-statements": {"task": "billing.issue_statements", "schedule": 900.0},
    "deem-statements": {"task": "billing.deem_statements", "schedule": 900.0},
    "submit-fapiaos": {"task": "billing.submit_fapiaos", "schedule": 300.0},
    "send-to-stripe": {
        "task": "billing.send_to_stripe",
        "schedule": 2.0,
        "options": {"expires": 30},
    },
    "apply-stripe-events": {
        "task": "billing.apply_stripe_events",
        "schedule": 2.0,
        "options": {"expires": 30},
    },
    "look-around-stripe": {
        "task": "billing.look_around_stripe",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    # After Stripe's day is over (UTC), and before the books are compared.
    "import-stripe-lines": {
        "task": "billing.import_stripe_lines",
        "schedule": crontab(hour=18, minute=40),
    },
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
# Who gets the journal's head every day, and each monthly report: outside the house, so that no one
# inside it can rewrite what was recorded. Separated by commas; empty: nobody.
AUDIT_MAIL = env_list("AUDIT_MAIL")
DEFAULT_FROM_EMAIL = env_str("DEFAULT_FROM_EMAIL", "Cardhour <no-reply@localhost>")

# Notifications. A dotted path of a class that sends text messages, where one is set up; another
# server that speaks as the robots' own do, for tests.
SMS_ADAPTER = env_str("SMS_ADAPTER", "")
ROBOT_API_BASE = env_str("ROBOT_API_BASE", "")

# Cases: minutes until the other side has answered, round the clock, by priority.
CASE_RESPONSE_MINUTES = {
    "urgent": env_int("CASE_URGENT_MINUTES", 30),
    "high": env_int("CASE_HIGH_MINUTES", 120),
    "normal": env_int("CASE_NORMAL_MINUTES", 480),
    "low": env_int("CASE_LOW_MINUTES", 2880),
}

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
        "HealthStateEnum": "inventory.models.HealthState",
        "TelemetryKindEnum": "inventory.models.TelemetrySource.Kind",
        "SeriesIdentityEnum": "inventory.models.SeriesIdentity",
        "HealthSourceEnum": "inventory.models.HealthSource",
        "ReportedHealthEnum": "inventory.api.health_shapes.TELLABLE",
        "MeterDisputeStateEnum": "inventory.models.MeterDispute.State",
        "AllocationStateEnum": "inventory.models.Allocation.State",
        "AllocationKindEnum": "inventory.models.Allocation.Kind",
        "ListingStateEnum": "marketplace.models.Listing.State",
        "DealKindEnum": "marketplace.models.Reservation.Kind",
        "ReservationStateEnum": "marketplace.models.Reservation.State",
        "LeaseStateEnum": "marketplace.models.Lease.State",
        "MovementKindEnum": "billing.models.LedgerTransaction.Kind",
        "DisagreementEnum": "billing.reconciliation_report.Disagreement",
        "ReceiptStateEnum": "billing.models.BankReceipt.State",
        "SideEnum": "marketplace.api.offer_shapes.SIDES",
        "PartyEnum": "marketplace.models.Amendment.Side",
        "BankAccountStateEnum": "billing.models.BankAccount.State",
        "BankDealStateEnum": "billing.models.BankDeal.State",
        "RefundStateEnum": "billing.models.Refund.State",
        "SettlementStateEnum": "billing.models.Settlement.State",
        "PayoutStateEnum": "billing.models.Payout.State",
        "PayoutMethodEnum": "billing.models.PayoutTerms.Method",
        "PayoutPartEnum": "billing.models.PayoutLine.Part",
        "InputFapiaoStateEnum": "billing.models.InputFapiao.State",
        "QuotaAuthorityEnum": "marketplace.models.Quota.Authority",
        "QuotaMeasureEnum": "marketplace.models.Quota.Measure",
        "QuotaWindowEnum": "marketplace.models.Quota.Window",
        "PayByEnum": "marketplace.models.Reservation.PayBy",
        "ManualTaskStateEnum": "inventory.models.ManualTask.State",
        "ManualTaskKindEnum": "inventory.models.ManualTask.Kind",
        "AcceptanceStateEnum": "inventory.models.Acceptance.State",
        "IncidentStateEnum": "marketplace.models.Incident.State",
        "CaseStateEnum": "marketplace.models.Case.State",
        "ChannelStateEnum": "marketplace.models.Channel.State",
        "ChannelKindEnum": "marketplace.models.Channel.Kind",
        "DeliveryStateEnum": "marketplace.models.Delivery.State",
        "IncidentEntryKindEnum": "marketplace.models.IncidentEntry.Kind",
        "ChargeKindEnum": "billing.models.Charge.Kind",
        "GatewayEventStateEnum": "billing.models.GatewayEvent.State",
        "GatewayRequestStateEnum": "billing.models.PspRequest.State",
        "VoucherStateEnum": "billing.models.Voucher.State",
        "AccountingPeriodStateEnum": "billing.models.AccountingPeriod.State",
        "ReconciliationKindEnum": [
            "missing_in_books",
            "missing_outside",
            "amount_differs",
            "unknown_type",
        ],
        "MatchedByEnum": "billing.models.ReconciliationMatch.By",
        "InvoiceKindEnum": "billing.models.Invoice.Kind",
        "InvoiceSubjectEnum": "billing.models.Invoice.Subject",
        "InvoiceStateEnum": "billing.models.Invoice.State",
        "PaymentStatusEnum": "billing.models.Invoice.PaymentStatus",
        "StatementStateEnum": "billing.models.Statement.State",
        "ContestStateEnum": "billing.models.Contest.State",
        "FapiaoKindEnum": "billing.models.Fapiao.Kind",
        "FapiaoStateEnum": "billing.models.Fapiao.State",
        "FapiaoFileRoleEnum": "billing.models.FapiaoFile.Role",
        "QuoteKindEnum": "billing.models.Quote.Kind",
        "AmendmentKindEnum": "marketplace.models.Amendment.Kind",
        "AmendmentStateEnum": "marketplace.models.Amendment.State",
        "TopUpStateEnum": "billing.models.TopUp.State",
        "WalletRefundStateEnum": "billing.models.WalletRefund.State",
        "DisputeStateEnum": "billing.models.Dispute.State",
        "PayoutAccountStateEnum": "billing.models.PayoutAccount.State",
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
# Online payment. Without a key there is none, and a demo has a Stripe of its own that moves no
# money. Of each endpoint's secrets the newest comes first; while one is rolled both are taken.
STRIPE_API_KEY = env_str("STRIPE_API_KEY", "")
STRIPE_PUBLISHABLE_KEY = env_str("STRIPE_PUBLISHABLE_KEY", "")
STRIPE_FAKE = DEMO and not STRIPE_API_KEY
STRIPE_WEBHOOK_SECRETS = env_list("STRIPE_WEBHOOK_SECRETS", "whsec_demo" if STRIPE_FAKE else "")
STRIPE_CONNECT_WEBHOOK_SECRETS = env_list(
    "STRIPE_CONNECT_WEBHOOK_SECRETS", "whsec_demo_connect" if STRIPE_FAKE else ""
)
STRIPE_METHODS = env_list("STRIPE_METHODS", "card,alipay,wechat_pay")
STRIPE_PAYOUT_COUNTRIES = env_list("STRIPE_PAYOUT_COUNTRIES", "HK,SG,JP")
STRIPE_API_BASE = env_str("STRIPE_API_BASE", "")  # another server that speaks as Stripe does
# Rails that send payouts themselves, by method; the bank has files instead.
PAYOUT_RAILS: dict[str, str] = (
    {"stripe": "billing.psp.rail.StripeRail"} if STRIPE_API_KEY or STRIPE_FAKE else {}
)
STRIPE_TIMEOUT_SECONDS = env_int("STRIPE_TIMEOUT_SECONDS", 30)
DEFAULT_CURRENCY = "CNY"
BILLING_ZONE = "Asia/Shanghai"
OPERATOR_FEE_BPS = env_int("OPERATOR_FEE_BPS", 800)  # of the net price, frozen in each version
# How providers are paid, where no other terms were agreed: frozen in each settlement.
SETTLE_AFTER_DAYS = env_int("SETTLE_AFTER_DAYS", 7)  # T+n after a month's end
PAYOUT_MINIMUM_MINOR = env_int("PAYOUT_MINIMUM_MINOR", 10_000)  # less waits for more
PAYOUT_RESERVE_BPS = env_int("PAYOUT_RESERVE_BPS", 0)  # kept back of each net …
PAYOUT_RESERVE_DAYS = env_int("PAYOUT_RESERVE_DAYS", 90)  # … for so long
PAYOUT_NEEDS_FAPIAO = env_bool("PAYOUT_NEEDS_FAPIAO", False)  # input fapiaos before a payout
PAYOUT_METHOD = env_str("PAYOUT_METHOD", "bank")
# Before a new account is paid to.
BANK_ACCOUNT_COOLING_HOURS = env_int("BANK_ACCOUNT_COOLING_HOURS", 72)
NET_CARRIED_DAYS = env_int("NET_CARRIED_DAYS", 60)  # a negative net, before it is demanded
DEMAND_DUE_DAYS = env_int("DEMAND_DUE_DAYS", 30)  # a provider's time to pay a demand
# After a month's end its invoices are still drafts for so long: late counts reach them.
INVOICE_FINALISE_HOURS = env_int("INVOICE_FINALISE_HOURS", 72)
INVOICE_DUE_DAYS = env_int("INVOICE_DUE_DAYS", 15)  # for what was not paid ahead
INVOICE_PREFIX = env_str("INVOICE_PREFIX", "INV-")  # before the number
CREDIT_NOTE_PREFIX = env_str("CREDIT_NOTE_PREFIX", "CN-")
# By so much of an hour, and so many card-seconds at least, its two meters may differ.
METER_TOLERANCE_BPS = env_int("METER_TOLERANCE_BPS", 200)
METER_TOLERANCE_CARD_SECONDS = env_int("METER_TOLERANCE_CARD_SECONDS", 60)
# After so many business days a tenant that says nothing has accepted its month's statement.
STATEMENT_BUSINESS_DAYS = env_int("STATEMENT_BUSINESS_DAYS", 5)
# What issues fapiaos: "manual", or the name of an entry point of the group cardhour.fapiao.
FAPIAO_ADAPTER = env_str("FAPIAO_ADAPTER", "manual")
FAPIAO_FILE_BYTES = env_int("FAPIAO_FILE_BYTES", 5 * 1024 * 1024)
# A store that is queried for telemetry may stand in a private network: of a market of one's own.
TELEMETRY_PULLS_PRIVATE = env_bool("TELEMETRY_PULLS_PRIVATE", DEBUG)
# A leased card that worked for less than so much of the time, over so long, is told of.
IDLE_PERMILLE = env_int("IDLE_PERMILLE", 50)
IDLE_HOURS = env_int("IDLE_HOURS", 24)
SEARCH_MAP_SECONDS = 0.3  # how old the map that answers a search may be
OFFER_SECONDS = env_int("OFFER_SECONDS", 600)  # how long a signed offer can be posted back
HOLD_SECONDS = env_int("HOLD_SECONDS", 900)  # how long capacity is kept for a wallet
QUOTE_SECONDS = env_int("QUOTE_SECONDS", 600)  # how long a change of a lease is promised
FEE_VAT_CODE = env_str("FEE_VAT_CODE", "cn-6")  # on the fee where it is sold to the provider alone
AMENDMENT_HOURS = env_int("AMENDMENT_HOURS", 72)  # how long a proposed one waits for its answer
LEASE_WARNING_HOURS = env_int("LEASE_WARNING_HOURS", 72)  # before its end both sides are warned …
LEASE_LAST_WARNING_MINUTES = env_int("LEASE_LAST_WARNING_MINUTES", 40)  # … and again
# What a provider may come to owe by compensations, minor units: the tenant has them at once.
PROVIDER_DEBT_MINOR = env_int("PROVIDER_DEBT_MINOR", 10_000_000)
# How much of what a tenant could use unpaid, by deals in arrears, its credit limit has to cover.
ARREARS_COVER_BPS = env_int("ARREARS_COVER_BPS", 10_000)
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
RECEIPT_OLD_DAYS = env_int("RECEIPT_OLD_DAYS", 30)  # an older transfer is recorded with a reason
UNMATCHED_ALARM_DAYS = env_int("UNMATCHED_ALARM_DAYS", 5)  # money in nobody's wallet is aged
BANK_FILE_LAYOUTS = env_str("BANK_FILE_LAYOUTS", "")  # a folder of further layouts of payment files
BANK_STATEMENT_LAYOUTS = env_str("BANK_STATEMENT_LAYOUTS", "")  # and of statements
VOUCHER_EXPORT_LAYOUTS = env_str("VOUCHER_EXPORT_LAYOUTS", "")  # and of voucher exports
HOLD_CARD_HOURS_LIMIT = env_int("HOLD_CARD_HOURS_LIMIT", 20_000_000)  # held at once by one tenant
CLOCK_TOLERANCE_SECONDS = 5  # an instant further ahead of the database's clock is refused

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_str("LOG_LEVEL", "INFO")},
}
