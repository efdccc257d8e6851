import unittest

from main import handler


class Handler(unittest.TestCase):
    def test_a_name(self):
        self.assertEqual(handler({"queryStringParameters": {"name": "Ada"}}, None)["body"], "Hello, Ada!")

    def test_no_name(self):
        self.assertEqual(handler({"queryStringParameters": None}, None)["body"], "Hello, world!")
