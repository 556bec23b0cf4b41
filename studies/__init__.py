"""What makes tables and pictures of the documents; nothing here is installed on a vehicle.

Scripts say in their first lines how they are run, from the folder of the repository; the other
modules are what they share.
"""
