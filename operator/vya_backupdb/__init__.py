"""VYA BackupDB: back up, restore and expire every database of a MySQL, MariaDB or PostgreSQL server.

Two columns stand on one pure domain: ``builders``, ``kube``, ``reconcile``, ``controller`` are the operator;
``engines``, ``storage``, ``dumper``, ``cli`` are the program that touches data. Nothing crosses between them.
"""

__version__ = "0.1.0"
