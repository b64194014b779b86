"""Online payment by way of a payment service provider: top-ups, refunds, disputes, transfers.

What is to be done there is a row first (`requests`), sent outside any transaction (`sending`).
What happened there is looked at (`following`), whether a webhook said so (`events`) or a sweep
found it (`sweeping`), and its effect on the books is keyed by the fact itself.
"""
