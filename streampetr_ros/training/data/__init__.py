"""From frame sets with truth to augmented batches."""
