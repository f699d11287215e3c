"""Real servers for one machine: PostgreSQL, Apache Kafka and Tansu, each as a supervised child on loopback."""
