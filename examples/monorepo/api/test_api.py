import unittest

from api import total


class Total(unittest.TestCase):
    def test_a_basket(self):
        self.assertEqual(total('[{"price": "1.50", "count": 2}, {"price": "0.99", "count": 1}]'), '{"total": "3.99"}')

    def test_no_amount(self):
        with self.assertRaises(ValueError):
            total('[{"price": "1.5", "count": 2}]')
