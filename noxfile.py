"""Tasks for contributors: `nox --list` shows them, `nox -s tests -- tests/test_fit.py` runs one with arguments."""

import nox

nox.needs_version = ">=2024.4"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation, site/index.html."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "python/docs", "site", *session.posargs)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Run the formatters and linters."""
    session.install("pre-commit")
    session.run("pre-commit", "run", "--all-files", *session.posargs)


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Build a wheel in dist/ and check what it contains."""
    session.install("build", "check-wheel-contents")
    session.run("python", "-m", "build", "--wheel")
    session.run("check-wheel-contents", "dist")
