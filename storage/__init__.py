"""Where scores are kept: tables, migrations, the exactly-once batch writer and the views that people query."""
