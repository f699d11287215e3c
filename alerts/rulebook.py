"""Where rules come from: the file that the settings name, then the rows of `rules`; without either, `default` alone."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog
from sqlalchemy import ARRAY, Connection, Text, delete, exists, func, literal, select
from sqlalchemy.dialects import postgresql

from alerts.channels import channel_labels
from alerts.errors import InvalidRule, NotDone
from alerts.rules import DEFAULT, Rule, check_channels, parse, parse_file
from alerts.series import ALL
from alerts.settings import AlertsSettings
from storage.tables import entity_minute
from storage.tables import rules as table

log = structlog.get_logger()


def file_rules(settings: AlertsSettings) -> list[Rule]:
    """The rules of the file, their channels checked against the settings; none without a file. Raises `InvalidRule`."""
    if settings.rules is None:
        return []
    found = parse_file(settings.rules)
    check_channels(found, channel_labels(settings), str(settings.rules))
    return found


class Rulebook:
    """The rules in force: the file's, read once, and the rows, read anew each time that it is asked.

    A row that cannot be used is left out and said once: the other rules go on.
    """

    def __init__(self, settings: AlertsSettings) -> None:
        self._settings = settings
        self._file = file_rules(settings)
        self._told: set[str] = set()

    def read(self, connection: Connection) -> list[Rule]:
        """The rules in order; `default` where there are none."""
        found, faults = with_rows(connection, self._file, self._settings)
        for fault in set(faults) - self._told:
            log.warning("rule_left_out", reason=fault)
        self._told = set(faults)
        return found


def with_rows(connection: Connection, before: Sequence[Rule], settings: AlertsSettings) -> tuple[list[Rule], list[str]]:
    """The rules `before` and those of the table after them, and what is wrong with rows that were left out.

    `default` holds where nothing is left: rather told too much than not at all.
    """
    found, faults = list(before), list[str]()
    names = {rule.name for rule in before}
    rows = connection.execute(select(table.c.name, table.c.body).order_by(table.c.position, table.c.name)).all()
    for row in rows:
        where = f"table rules, rule {row.name!r}"
        try:
            if row.name in names:
                raise InvalidRule(f"{where}: the rules file has one of that name, which holds")
            rule = parse({**row.body, "name": row.name}, where)
            check_channels([rule], channel_labels(settings), "table rules")
            found.append(rule)
        except InvalidRule as error:
            faults.append(str(error))
    return found or [DEFAULT], faults


def unknown_names(connection: Connection, given: Sequence[Rule]) -> list[str]:
    """Names that rules watch and no message has named yet: misspelt, perhaps."""
    wanted = list(dict.fromkeys(name for rule in given for name in rule.scope.entities if name != ALL))
    listed = func.unnest(literal(wanted, ARRAY(Text))).table_valued("name").render_derived()
    named = exists().where(entity_minute.c.entity == listed.c.name)
    return list(connection.execute(select(listed.c.name).where(~named)).scalars()) if wanted else []


def put_rules(connection: Connection, given: Sequence[Rule], *, author: str, now: datetime) -> None:
    """Write rules into the table: new ones at its end, in order; those of a name that is there in their place."""
    last = connection.execute(select(func.coalesce(func.max(table.c.position), 0))).scalar_one()
    for number, rule in enumerate(given, 1):
        said = msgspec.to_builtins(rule)
        body = {field: value for field, value in said.items() if field != "name" and value is not None}
        values = {"body": body, "author": author, "updated_at": now}
        row = postgresql.insert(table).values(name=rule.name, position=last + number, **values)
        connection.execute(row.on_conflict_do_update(index_elements=[table.c.name], set_=values))


def drop_rule(connection: Connection, name: str) -> None:
    """Take a rule out of the table; raises `NotDone` where it is not in it."""
    if not connection.execute(delete(table).where(table.c.name == name)).rowcount:
        raise NotDone(f"table rules has no rule {name!r}; `newsquake alerts rules list` shows them")
