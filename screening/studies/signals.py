"""What the studies floor announces to the floors above it, which it must not import."""

from __future__ import annotations

from django.dispatch import Signal

image_received = Signal()
"""Sent inside the transaction that stores an image, with ``image``.

A receiver that raises undoes the storing: an image without its job must not exist.
"""
