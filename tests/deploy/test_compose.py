"""The compose file: well-formed, of the shape that Compose wants, and in step with the code's settings."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from alerts.settings import AlertsSettings
from bench.storage.database import TUNED
from models.settings import ModelsSettings
from pipeline.settings import PipelineSettings
from storage.settings import StorageSettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

_TEXT = {"type": "string"}
_COUNT = {"type": "integer"}
_WORDS = {"type": "array", "items": _TEXT}
_SCALARS = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
SCHEMA = {
    "type": "object",
    "required": ["services", "volumes"],
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "properties": {
        "volumes": {"type": "object"},
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["image"],
                "properties": {
                    "image": {"type": "string", "pattern": "^[a-z0-9./-]+:[a-z0-9.]+$"},
                    "build": {
                        "type": "object",
                        "properties": {"context": _TEXT, "dockerfile": _TEXT},
                        "additionalProperties": False,
                    },
                    "command": _WORDS,
                    "entrypoint": _WORDS,
                    "environment": _SCALARS,
                    "ports": _WORDS,
                    "volumes": _WORDS,
                    "tmpfs": _WORDS,
                    "cap_drop": _WORDS,
                    "security_opt": _WORDS,
                    "read_only": {"type": "boolean"},
                    "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                    "stop_grace_period": {"type": "string", "pattern": r"^\d+s$"},
                    "depends_on": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "required": ["condition"],
                            "properties": {
                                "condition": {
                                    "enum": ["service_started", "service_healthy", "service_completed_successfully"]
                                }
                            },
                            "additionalProperties": False,
                        },
                    },
                    "healthcheck": {
                        "type": "object",
                        "required": ["test"],
                        "properties": {
                            "test": _WORDS,
                            "interval": _TEXT,
                            "timeout": _TEXT,
                            "retries": {"type": "integer"},
                            "start_period": _TEXT,
                        },
                        "additionalProperties": False,
                    },
                },
            },
        },
    },
}


def test_the_file_has_the_shape_that_compose_wants() -> None:
    jsonschema.validate(COMPOSE, SCHEMA)


def test_what_a_service_waits_for_exists_and_can_become_healthy() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_named_volumes_are_declared_and_ports_are_on_loopback() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["setup", "worker", "scheduler"])
def test_every_setting_in_the_file_is_one_that_the_code_reads(name: str) -> None:
    known = {
        f"{kind.model_config['env_prefix']}{field}".upper()
        for kind in (AlertsSettings, ModelsSettings, PipelineSettings, StorageSettings)
        for field in kind.model_fields
    }
    assert {"NEWSQUAKE_PIPELINE_BROKER", "NEWSQUAKE_STORAGE_URL"} <= set(SERVICES[name]["environment"]) <= known


def test_no_password_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert value.startswith("${POSTGRES_PASSWORD:?")
            if name == "NEWSQUAKE_STORAGE_URL":
                assert re.search(r"//newsquake:\$\{POSTGRES_PASSWORD:\?[^}]+\}@", value)


def test_the_image_copies_every_package() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert set(copied) == {"models", "storage", "pipeline", "alerts", "newsquake", "bench"}


def test_the_database_has_the_settings_that_the_benchmark_measures() -> None:
    command = SERVICES["postgres"]["command"]
    assert command == ["postgres", *(part for name, value in TUNED.items() for part in ("-c", f"{name}={value}"))]
