"""From Kafka to the database: wire format, publishing, topics and the Faust worker."""
