"""How dates are written in each language: Django's own forms differ from what these pages use.

``DATE_FORMAT`` is for prose, ``SHORT_DATE_FORMAT`` for lists and tables.
"""
