"""Every case of the corpus against the models. The same cases meet a real API server in tests/e2e/test_crds.py."""

import pytest
from tests.tools.corpus import Case, cases

from vya_backupdb.domain.specs import KINDS, SpecProblem, parse

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_models_agree_with_the_corpus(case: Case) -> None:
    parsed = parse(case.manifest)

    if case.valid:
        assert not isinstance(parsed, SpecProblem), parsed
        assert parsed.kind == case.kind
        return
    assert isinstance(parsed, SpecProblem)
    assert parsed.of_kind == case.kind
    assert case.field in parsed.message
    assert case.says in parsed.message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_corpus_says_yes_and_no_for_each_kind(kind: object) -> None:
    of_kind = [case for case in CASES if case.kind == getattr(kind, "name", "")]

    assert sum(case.valid for case in of_kind) >= 4
    assert sum(not case.valid for case in of_kind) >= 10
