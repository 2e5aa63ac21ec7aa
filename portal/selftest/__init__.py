"""The installed portal examines itself, for whoever has to answer for it: ``manage.py selftest``.

One module a check in ``checks``; ``registry`` knows them all. What is installed is only read. What
writes does so in a scratch portal: the same code, settings and database server, with an empty
database, folder of files and mailbox of its own, which are removed at the end.
"""
