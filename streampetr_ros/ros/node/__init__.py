"""The lifecycle node: parameters, session between configure and cleanup, worker, health."""
