"""Subscriptions, and what becomes of their messages until a frame set is whole."""
