"""Tasks for contributors: `nox --list` shows them, `nox -s tests -- tests/test_fit.py` runs one with arguments."""

import nox

nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation in site/."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "python/docs", "site", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the formatters and linters of pre-commit."""
    session.install("pre-commit")
    session.run("pre-commit", "run", "--all-files", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build a wheel in dist/ and check its contents."""
    session.install("build", "check-wheel-contents")
    session.run("python", "-m", "build", "--wheel", *session.posargs)
    session.run("check-wheel-contents", "dist")
