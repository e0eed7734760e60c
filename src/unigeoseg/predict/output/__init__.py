"""From scores to files: the schema of columns and tags, masks and outlines."""
