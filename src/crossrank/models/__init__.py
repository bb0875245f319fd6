"""Where weights come from: a name or a folder in, checked files out."""
