"""Processes that do nothing but open files of others.

A library that decodes pictures is large, old and written in C, and a file is made by a stranger.
So files are opened in processes that hold nothing worth having: no database, no secret, no network,
no file but the one that was handed in, little memory, little time. What comes back is values, and
they are checked like anything that a stranger says.

``child`` is what such a process runs, ``confinement`` what is taken from it, ``wire`` what is said
between it and the portal, ``process`` one of them as the portal sees it, ``pool`` those of one
process of the portal. Nothing here knows Django: ``studies.decoding`` is the door.
"""
