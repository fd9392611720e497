"""The browser that looks at pages, for all tests of a session."""

import pytest

from browser import Browser


@pytest.fixture(scope="session")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def faultless(browser):
    """No test may end with an error in the page, or a request to anywhere else."""
    yield browser
    assert browser.do("faults") == []
