"""What is published, as plain data: messages, markers and the names of their topics."""
