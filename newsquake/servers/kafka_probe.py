"""Whether a Kafka broker really answers: the client's own handshake and a metadata request, with short timeouts."""

from newsquake.servers.ports import answers


def broker_answers(port: int, *, named: int | None = None) -> bool:
    """Whether the broker on 127.0.0.1:`port` names itself in its own metadata; takes at most about two seconds.

    `named` is the port that it names where that is another one, of a proxy.
    """
    if not answers(port):
        return False
    # Imported here: the client library takes a third of a second, and most commands never probe a broker.
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"127.0.0.1:{port}", bootstrap_timeout_ms=1_000, request_timeout_ms=1_000
        )
    except (KafkaError, OSError):
        return False
    try:
        return any(broker["port"] == (named or port) for broker in admin.describe_cluster()["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        admin.close()
