"""What the database itself holds of invoices and fapiaos, and who may change what."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0025_invoices")]

    operations = [
        migrations.RunSQL((SQL / "invoice_rules.sql").read_text(encoding="utf-8")),
        migrations.RunSQL("INSERT INTO billing_billedcursor (id, charge_id) VALUES (1, 0)"),
        grants.give(
            {
                "billing_invoice": "UPDATE (state, number, label, card_seconds,"
                " net_minor, vat_minor, total_minor, unpaid_minor, payment_status, due_at,"
                " paid_at, seller, buyer, decided_by_id, finalised_at, discarded_at)",
                "billing_invoiceline": "UPDATE (invoice_id, corrects_id, from_at, until_at,"
                " card_seconds, net_minor, vat_minor, gross_minor)",
                "billing_invoiceseries": "UPDATE (last_number)",
                "billing_billedcursor": "UPDATE (charge_id)",
                "billing_statement": "UPDATE (state, accepted_by_id, accepted_at, deemed_at)",
                "billing_contest": "UPDATE (state, provider_note, operator_note, credit_note_id,"
                " decided_by_id, upheld_at, dismissed_at)",
                "billing_billingdetails": "UPDATE (title, tax_number, address, phone, bank_name,"
                " bank_account, updated_at)",
                "billing_fapiao": "UPDATE (state, number, issued_date, red_number, red_date,"
                " reason, adapter_reference, issued_at, withdrawn_at, reversed_at)",
            }
        ),
        grants.rules_always_hold(),
    ]
