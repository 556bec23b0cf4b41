"""Pictures for people: boxes on camera images and from above."""
