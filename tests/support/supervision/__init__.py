"""The contract of supervision: one suite, every backend.

`harness` is what a backend's tests bring, `world` what a law is given, `desk` and `actors` the children; the laws are
in the other modules, a module for each section, and `laws.LAWS` has them all. A test file runs them so:

    @pytest.mark.parametrize("law", LAWS, ids=name_of)
    def test_contract(law: Law, tmp_path: Path) -> None:
        asyncio.run(obeys(law, MyHarness(), tmp_path))
"""
