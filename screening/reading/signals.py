"""What the reading floor announces to the floors above it, which it must not import."""

from __future__ import annotations

from django.dispatch import Signal

reading_signed = Signal()
"""Sent inside the transaction that signs a reading, with ``reading``.

A receiver that raises undoes the signing: what rests on it must not go its own way.
"""
