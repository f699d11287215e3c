"""Benchmarks of the whole way from Kafka to the database, against each of its parts alone in the same run."""
