import os
import unittest

from store import Store


class AgainstTheServer(unittest.TestCase):
    def setUp(self):
        self.store = Store(os.environ["STORE"])
        self.addCleanup(self.store.close)

    def test_what_was_set_is_there(self):
        self.store.set("greeting", b"hello\r\nworld")
        self.assertEqual(self.store.get("greeting"), b"hello\r\nworld")

    def test_what_was_deleted_is_not(self):
        self.store.set("short", b"")
        self.assertTrue(self.store.delete("short"))
        self.assertIsNone(self.store.get("short"))
        self.assertFalse(self.store.delete("short"))
