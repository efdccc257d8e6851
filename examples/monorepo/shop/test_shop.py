import unittest

from shop import page


class Page(unittest.TestCase):
    def test_names_are_escaped(self):
        self.assertIn("<li>a &lt; b: 0.05</li>", page({"a < b": 5}))
