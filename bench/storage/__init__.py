"""What the database is worth: how fast documents come in, how fast answers come out, and what a document takes."""
