#!/usr/bin/env python3
"""Tries the referees themselves: they must accept what is right and refuse what is wrong.

Run by scripts/test with target/interop-venv/bin/python.
"""

import base64
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

from standardwebhooks.webhooks import Webhook

HERE = pathlib.Path(__file__).resolve().parent
NODE_READY = HERE.parent.parent / "target" / "interop-node" / "ready"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of 24 byt").decode()
BODY = '{"type":"voicemail.new","data":{"caller":{"name":"Çağrı Işık"}}}'


def run(command, stdin):
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60)


def signed(body=BODY, secret=SECRET, at=None):
    at = int(time.time()) if at is None else at
    moment = datetime.datetime.fromtimestamp(at, tz=datetime.timezone.utc)
    signature = Webhook(secret).sign("dlv_1", moment, body)
    return {"webhook-id": "dlv_1", "webhook-timestamp": str(at), "webhook-signature": signature}


class Verifier:
    """What both languages must do; the subclasses say with which command."""

    command = []

    def verify(self, headers, body=BODY, secret=SECRET):
        request = {"secret": secret, "headers": headers, "body_base64": base64.b64encode(body.encode()).decode()}
        return run(self.command, json.dumps(request).encode())

    def assert_refused(self, done):
        self.assertEqual((done.returncode, done.stdout), (1, b""), done.stderr)
        self.assertNotIn(SECRET.encode(), done.stderr)

    def test_a_right_signature_is_verified_and_the_type_is_printed(self):
        done = self.verify(signed())
        self.assertEqual((done.returncode, done.stdout.split()), (0, [b"voicemail.new"]), done.stderr)

    def test_header_names_may_have_any_case(self):
        headers = {name.title(): value for name, value in signed().items()}
        self.assertEqual(self.verify(headers).returncode, 0)

    def test_one_right_signature_among_several_is_enough(self):
        headers = signed()
        old = signed(secret=OTHER_SECRET, at=int(headers["webhook-timestamp"]))
        headers["webhook-signature"] = f"{old['webhook-signature']} {headers['webhook-signature']}"
        self.assertEqual(self.verify(headers).returncode, 0)

    def test_a_body_of_which_one_byte_differs_is_refused(self):
        self.assert_refused(self.verify(signed(), body=BODY.replace("new", "old")))

    def test_another_secret_is_refused(self):
        self.assert_refused(self.verify(signed(), secret=OTHER_SECRET))

    def test_an_old_timestamp_is_refused(self):
        self.assert_refused(self.verify(signed(at=int(time.time()) - 3600)))

    def test_a_missing_signature_is_refused(self):
        headers = signed()
        del headers["webhook-signature"]
        self.assert_refused(self.verify(headers))

    def test_a_payload_without_a_type_is_refused(self):
        body = '{"data":{}}'
        self.assert_refused(self.verify(signed(body), body=body))

    def test_input_that_is_no_request_is_another_error_than_a_refusal(self):
        self.assertEqual(run(self.command, b"{}").returncode, 2)


class InPython(Verifier, unittest.TestCase):
    command = [sys.executable, str(HERE / "verify_webhook.py")]


@unittest.skipUnless(NODE_READY.exists(), "no library for JavaScript: see scripts/setup")
class InJavaScript(Verifier, unittest.TestCase):
    command = [shutil.which("node") or "node", str(HERE / "verify_webhook.mjs")]


HEAD = [
    "Date: Sun, 22 Nov 2026 05:08:29 +0000",
    "From: Santral <santral@example.com>",
    "To: ofis@example.com",
    "Subject: =?utf-8?b?Q2V2YXBzxLF6IMOHYcSfcsSx?=",
    "Message-ID: <dlv_1@example.com>",
    "MIME-Version: 1.0",
]
ALTERNATIVE = [
    'Content-Type: multipart/alternative; boundary="b"',
    "",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
    "",
    base64.b64encode("Işık aradı.\r\n".encode()).decode(),
    "--b",
    "Content-Type: text/html; charset=utf-8",
    "Content-Transfer-Encoding: quoted-printable",
    "",
    "<p>I=C5=9F=C4=B1k arad=C4=B1.</p>",
    "--b--",
]
PLAIN = ["Content-Type: text/plain; charset=utf-8", "", "hello"]


def wire(lines):
    return "".join(line + "\r\n" for line in lines).encode()


class Mail(unittest.TestCase):
    def read(self, raw):
        return run([sys.executable, str(HERE / "read_mail.py")], raw)

    def assert_defect(self, raw, words):
        done = self.read(raw)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(words, done.stderr.decode())

    def test_a_sound_mail_is_read_with_its_headers_and_both_texts(self):
        done = self.read(wire(HEAD + ALTERNATIVE))
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        mail = json.loads(done.stdout)
        self.assertEqual(mail["headers"]["subject"], ["Cevapsız Çağrı"])
        self.assertEqual([part["type"] for part in mail["parts"]], ["text/plain", "text/html"])
        self.assertEqual(mail["parts"][0]["encoding"], "base64")
        self.assertEqual(mail["text"].strip(), "Işık aradı.")
        self.assertEqual(mail["html"].strip(), "<p>Işık aradı.</p>")

    def test_a_header_that_was_injected_shows(self):
        self.assert_defect(wire([*HEAD, "Subject: another", *PLAIN]), "header subject more than once")

    def test_a_missing_date_is_a_defect(self):
        self.assert_defect(wire(HEAD[1:] + PLAIN), "no header date")

    def test_a_line_that_is_too_long_is_a_defect(self):
        self.assert_defect(wire([*HEAD, *PLAIN, "x" * 999]), "has 999 bytes")
        self.assertEqual(self.read(wire([*HEAD, *PLAIN, "x" * 998])).returncode, 0)

    def test_raw_bytes_in_a_header_are_a_defect(self):
        self.assert_defect(wire([*HEAD, "X-Caller: Işık", *PLAIN]), "beyond ASCII")

    def test_an_encoded_word_that_is_broken_is_a_defect(self):
        self.assert_defect(wire([*HEAD, "Reply-To: =?utf-8?b?x?= <a@example.com>", *PLAIN]), "header Reply-To")

    def test_an_address_that_is_broken_is_a_defect(self):
        self.assert_defect(wire([*HEAD, "Cc: a@b@example.com <", *PLAIN]), "header Cc")

    def test_a_bare_line_feed_on_the_wire_is_a_defect(self):
        self.assert_defect(wire([*HEAD, *PLAIN, "one\ntwo"]), "an LF without its CR")
        self.assert_defect(wire([*HEAD, *PLAIN, "one\rtwo"]), "a CR without its LF")

    def test_a_multipart_without_its_end_is_a_defect(self):
        self.assert_defect(wire(HEAD + ALTERNATIVE[:-1]), "CloseBoundaryNotFoundDefect")

    def test_a_text_that_is_not_in_its_charset_is_a_defect(self):
        self.assert_defect(wire([*HEAD, *PLAIN]) + b"\xff\xfe\r\n", "can't decode")

    def test_base64_that_is_broken_is_a_defect(self):
        broken = [line if line != ALTERNATIVE[6] else "SGVsb%G8" for line in ALTERNATIVE]
        self.assert_defect(wire(HEAD + broken), "Base64")


class Slack(unittest.TestCase):
    SOUND = {
        "text": "Cevapsız çağrı",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Cevapsız çağrı", "emoji": False}},
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Numara*\n0312"}]},
        ],
    }

    def read(self, *messages):
        return run([sys.executable, str(HERE / "check_slack.py")], json.dumps(messages).encode())

    def assert_defect(self, block, words):
        done = self.read(self.SOUND, {"text": "x", "blocks": [block]})
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(words, done.stderr.decode())

    def test_sound_messages_pass_and_their_blocks_are_counted(self):
        done = self.read(self.SOUND, {"text": "x"})
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, b"2", b""))

    def test_texts_over_the_limits_are_defects(self):
        header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
        self.assert_defect(header, "message 1: block 0: text attribute cannot exceed 150 characters")
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
        self.assert_defect(section, "3000")
        self.assert_defect({"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}, "10 items")

    def test_what_the_library_does_not_know_is_a_defect(self):
        self.assert_defect({"type": "headline", "text": "x"}, "a type that is not known")
        known = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
        self.assert_defect({**known, "colour": "red"}, "not all of it is known")
        self.assert_defect({"type": "section"}, "must be specified")

    def test_a_message_without_a_text_is_a_defect(self):
        self.assertEqual(self.read({"text": " ", "blocks": []}).returncode, 1)

    def test_input_that_is_no_list_of_messages_is_another_error_than_a_defect(self):
        self.assertEqual(run([sys.executable, str(HERE / "check_slack.py")], b"[1]").returncode, 2)


if __name__ == "__main__":
    unittest.main()
