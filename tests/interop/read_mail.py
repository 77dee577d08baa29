#!/usr/bin/env python3
"""Reads one mail as Python's `email` package does, and is stricter than it about what goes over the wire.

Standard input: the mail, as DATA brought it (dot-stuffing undone).
Standard output: JSON with `headers` (name in lower case -> list of decoded values), `parts` (leaves in order: type,
charset, encoding, disposition, filename, size in bytes), `text` and `html` (the first part of that type, or null).
Exit code: 0 sound; 1 defects, one a line on standard error; 2 the command line is wrong.
"""

import email
import email.errors
import email.policy
import json
import re
import sys

# RFC 5322 section 3.6: each of these at most once, and RFC 2045 for the MIME ones.
ONCE = (
    "date from sender reply-to to cc bcc message-id in-reply-to references subject "
    "mime-version content-type content-transfer-encoding"
).split()
REQUIRED = ("date", "from")
LONGEST_LINE = 998  # RFC 5322 section 2.1.1, without CRLF


def wire_defects(raw):
    """What Python's parser forgives and a mail server need not."""
    if b"\0" in raw:
        yield "a NUL byte"
    if re.search(rb"\r(?!\n)", raw):
        yield "a CR without its LF"
    if b"\r\n" in raw and re.search(rb"(?<!\r)\n", raw):
        yield "an LF without its CR, among lines that end in CRLF"
    for number, line in enumerate(raw.splitlines(), 1):
        if len(line) > LONGEST_LINE:
            yield f"line {number} has {len(line)} bytes, more than {LONGEST_LINE}"
    head = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0]
    if any(byte > 126 for byte in head):
        yield "bytes beyond ASCII in the headers"


def header_defects(mail):
    for name in REQUIRED:
        if name not in mail:
            yield f"no header {name}"
    for part in mail.walk():
        for name in ONCE:
            if len(part.get_all(name, [])) > 1:
                yield f"header {name} more than once"
        for name, value in part.items():
            for defect in value.defects:
                yield f"header {name}: {type(defect).__name__}: {defect}"


def leaf_content(part):
    """The decoded content of a leaf; text that is not in its own charset is a defect, not a question mark."""
    if part.get_content_maintype() == "text":
        return part.get_content(errors="strict")
    return part.get_content()


def describe(mail, defects):
    parts, first = [], {}
    for part in mail.walk():
        if part.is_multipart():
            continue
        try:
            content = leaf_content(part)
        except (LookupError, UnicodeError) as error:
            defects.append(f"part {part.get_content_type()}: {error}")
            content = None
        first.setdefault(part.get_content_type(), content)
        parts.append(
            {
                "type": part.get_content_type(),
                "charset": part.get_content_charset(),
                "encoding": part.get("content-transfer-encoding"),
                "disposition": part.get_content_disposition(),
                "filename": part.get_filename(),
                "size": len(part.get_payload(decode=True) or b""),
            }
        )
    headers = {}
    for name, value in mail.items():
        headers.setdefault(name.lower(), []).append(str(value))
    return {"headers": headers, "parts": parts, "text": first.get("text/plain"), "html": first.get("text/html")}


def main():
    if len(sys.argv) > 1:
        print("read_mail.py: takes no arguments, and the mail on standard input", file=sys.stderr)
        sys.exit(2)
    raw = sys.stdin.buffer.read()
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    defects = [*wire_defects(raw), *header_defects(mail)]
    described = describe(mail, defects)
    # Asked last: some defects are found only while the content is decoded.
    for part in mail.walk():
        defects += [f"part {part.get_content_type()}: {type(defect).__name__}: {defect}" for defect in part.defects]
    for defect in defects:
        print(f"read_mail.py: {defect}", file=sys.stderr)
    # ASCII only, so that no locale of standard output changes it.
    print(json.dumps(described))
    sys.exit(1 if defects else 0)


if __name__ == "__main__":
    main()
