"""What commands print of text that strangers wrote."""

import json

import pytest

from newsquake.commands.output import print_json


def test_json_steers_no_terminal_and_reads_back_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x9b31m \x7f \x1b[2J \u202egnirts\u202c \u2066x\u2069 \u2028 中文 é"
    print_json({"text": evil})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": evil}
    assert "中文 é" in printed and all(character.isprintable() or character == "\n" for character in printed)
