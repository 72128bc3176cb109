"""Files that appear whole or not at all, the columns of rows, and what made a result."""
