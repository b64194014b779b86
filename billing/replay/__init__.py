"""A recorded trace through the whole market: offers, holds and confirmations over HTTP."""
