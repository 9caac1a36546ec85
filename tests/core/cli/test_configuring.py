"""``mdacore init``, ``check`` and ``plan``."""


class TestCheck:
    def test_good_configuration_is_said_to_be_good(self, mdacore, chosen, state):
        expected = "The configuration is good: 1 edge, 1 queue, 1 policy, 1 storage, 1 relay.\n"

        assert (0, expected, "") == mdacore("check", *chosen)
        assert not state.exists()

    def test_file_may_be_named_by_a_variable(self, mdacore, monkeypatch, tmp_path, chosen):
        (tmp_path / "mda.toml").write_text("")
        monkeypatch.setenv("MDACORE_CONFIG", "mda.toml")

        assert mdacore("check", *chosen)[1].startswith("mda.toml is good: ")

    def test_spaces_between_plugins_do_not_matter(self, mdacore, fakes, state):
        assert 0 == mdacore("check", "--plugins", fakes.replace(",", " , ") + ",", "--state", state)[0]


class TestPlan:
    def test_plan_is_printed(self, mdacore, chosen):
        status, output, errors = mdacore("plan", *chosen)

        assert (0, "") == (status, errors)
        assert output.startswith("configuration  no file: the plugins' defaults\n")


class TestInit:
    def test_file_is_written_to_standard_output(self, mdacore, fakes):
        status, output, errors = mdacore("init", "--plugins", fakes)

        assert (0, "") == (status, errors)
        assert output.startswith("# The configuration of mdacore.")

    def test_what_it_writes_is_good(self, mdacore, fakes, state):
        assert (0, "", "") == mdacore("init", "--plugins", fakes, "--output", "mda.toml")
        assert 0 == mdacore("check", "--config", "mda.toml", "--state", state)[0]

    def test_file_that_exists_is_kept(self, mdacore, fakes, tmp_path):
        (tmp_path / "mda.toml").write_text("precious")

        assert (73, "", "mdacore: mda.toml exists; --force replaces it\n") == mdacore(
            "init", "--plugins", fakes, "--output", "mda.toml"
        )
        assert "precious" == (tmp_path / "mda.toml").read_text()

    def test_it_is_replaced_when_that_is_wanted(self, mdacore, fakes, tmp_path):
        (tmp_path / "mda.toml").write_text("precious")

        assert 0 == mdacore("init", "--plugins", fakes, "-o", "mda.toml", "--force")[0]
        assert "precious" not in (tmp_path / "mda.toml").read_text()

    def test_folder_that_is_not_there_is_a_clear_error(self, mdacore, fakes):
        assert (73, "", "mdacore: no/mda.toml cannot be written: No such file or directory\n") == mdacore(
            "init", "--plugins", fakes, "-o", "no/mda.toml"
        )

    def test_plugins_are_needed(self, mdacore):
        assert 2 == mdacore("init")[0]

    def test_bad_choice_writes_nothing(self, mdacore, tmp_path):
        assert 78 == mdacore("init", "--plugins", "no_such", "-o", "mda.toml")[0]
        assert [] == list(tmp_path.iterdir())
