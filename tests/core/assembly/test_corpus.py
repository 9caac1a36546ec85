"""Bad configurations, each with the lines that it has to give: ``corpus/<name>.toml`` and ``<name>.expected``."""

from pathlib import Path

import pytest

from mdacore import ConfigError
from mdacore.__main__ import main
from mdacore.assembly import Assembly

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(path.stem for path in CORPUS.glob("*.toml"))


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(CORPUS)
    return tmp_path / "state"


@pytest.mark.parametrize("name", CASES)
class TestCorpus:
    def test_check_prints_every_problem_on_a_line_and_does_nothing_else(self, name, state, capfd):
        files = sorted(CORPUS.iterdir())

        status = main(["check", "--config", f"{name}.toml", "--state", str(state)])

        output, errors = capfd.readouterr()
        assert (CORPUS / f"{name}.expected").read_text() == errors
        assert (78, "") == (status, output)
        assert not state.exists()
        assert files == sorted(CORPUS.iterdir())

    def test_service_refuses_it_for_the_same_reasons(self, name, state):
        with pytest.raises(ConfigError) as caught:
            Assembly.load(f"{name}.toml", state=state)

        expected = (CORPUS / f"{name}.expected").read_text().splitlines()[:-1]
        assert expected == str(caught.value).splitlines()


def test_corpus_is_as_large_as_it_was():
    """A case that is not found is not tested."""
    assert 28 == len(CASES)
