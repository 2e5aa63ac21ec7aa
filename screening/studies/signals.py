"""What the studies floor announces to the floors above it, which it must not import."""

from __future__ import annotations

from django.dispatch import Signal

image_received = Signal()
"""Sent inside the transaction that stores an image, with ``image``.

A receiver that raises undoes the storing: an image without its job must not exist.
"""

study_summed_up = Signal()
"""Sent whenever a study's status was worked out anew, with ``study`` and the status ``before``.

Inside the transaction that changed an image, the study's row locked, and also where the status
stayed the same: an image may have been added, or a result. A receiver that raises undoes it all.
"""
