import pytest

from slug import slug


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Hello, world", "hello-world"),
        ("Crème brûlée!", "creme-brulee"),
        ("  2  plus 2 ", "2-plus-2"),
        ("", ""),
    ],
)
def test_slug(title, expected):
    assert slug(title) == expected
