"""What a match of the books with the bank and Stripe has to be, and what is compared."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0045_reconciliation")]

    operations = [
        migrations.RunSQL((SQL / "reconciliation.sql").read_text(encoding="utf-8")),
        grants.rules_always_hold(),
    ]
