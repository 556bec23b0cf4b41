"""Studies that make the tables of the documents; nothing here is installed on a vehicle.

Run them from the folder of the repository: ``python studies/sync_table.py``.
"""
