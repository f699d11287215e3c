"""What counts as evidence, and what does not."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.evidence import Document, Sample, distinct_texts, weigh
from tests.alerts.traffic import MONDAY, document

STORY = (
    "An explosion at the main plant of Ostrander Chemicals has halted output of industrial solvents and injured four "
    "workers, the company said. Fire crews brought the blaze under control within two hours."
)


def sample(*found: Document) -> Sample:
    return Sample(found, len(found))


def test_genuine_messages_all_count() -> None:
    evidence = weigh(sample(*(document(number, MONDAY) for number in range(12))))
    assert (evidence.effective, evidence.sources, evidence.contents) == (12, 4, 12)
    assert evidence.entities == {"Merrowdale Bank": 12}
    assert len(evidence.worst) == 3


def test_one_story_under_six_datelines_counts_once() -> None:
    lines = (
        "(Worldline) - ",
        "MARKETDESK: ",
        "HARBOUR POST, 11 March - ",
        "",
        "(Ledger Daily) -- ",
        "NORTHERN WIRE - ",
    )
    copies = [document(i, MONDAY, words=line + STORY, source=f"wire-{i}") for i, line in enumerate(lines)]
    assert weigh(sample(*copies)).effective <= 1


def test_chinese_copies_with_another_opening_count_once() -> None:
    story = "奥斯特兰化工主厂区发生爆炸，工业溶剂停产，四名工人受伤，公司表示消防人员两小时内控制了火势"
    copies = [document(i, MONDAY, words=f"【快讯{i}】{story}") for i in range(4)]
    assert len(distinct_texts(copies)) == 1


def test_one_account_counts_once_however_often_its_words_change() -> None:
    found = [document(number, MONDAY, source="forum", author="Shortking") for number in range(30)]
    assert weigh(sample(*found)).contents == 1


def test_one_source_is_at_most_half_of_what_counts() -> None:
    loud = [document(number, MONDAY, source="forum") for number in range(30)]
    others = [document(100 + number, MONDAY, source=f"wire-{number}") for number in range(4)]
    evidence = weigh(sample(*loud, *others))
    assert (evidence.effective, evidence.contents) == (8, 34)


def test_a_single_source_counts_for_nothing() -> None:
    assert weigh(sample(*(document(number, MONDAY, source="forum") for number in range(30)))).effective == 0


def test_a_sample_stands_for_the_whole_window() -> None:
    found = tuple(document(number, MONDAY) for number in range(20))
    assert weigh(Sample(found, 200)).effective == 200


def test_no_documents_are_no_evidence() -> None:
    assert weigh(sample()).effective == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 5)), max_size=30))
def test_what_counts_is_never_more_than_what_was_said(parts: list[tuple[int, int, int]]) -> None:
    found = [
        document(text, MONDAY + timedelta(seconds=i), source=f"s{source}", author=f"a{author}")
        for i, (text, source, author) in enumerate(parts)
    ]
    evidence = weigh(sample(*found))
    assert evidence.effective <= evidence.contents <= len({part[0] for part in parts})
    assert evidence.sources <= len({part[1] for part in parts})
