#!/usr/bin/env python3
"""Reads Slack messages as Slack's own library models them, and validates every block.

Standard input: a JSON list of messages, as they are posted.
Standard output: how many blocks were validated.
Exit code: 0 sound; 1 defects, one a line on standard error; 2 the command line or the input is wrong.
"""

import json
import sys

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block


def defects(message):
    """What the library refuses, or would leave out because it does not know it."""
    if not isinstance(message.get("text"), str) or not message["text"].strip():
        yield "no text, which notifications show"
        return
    for position, block in enumerate(message.get("blocks", [])):
        try:
            parsed = Block.parse(block)
            if parsed is None:
                yield f"block {position}: of a type that is not known"
                continue
            parsed.validate_json()
            if parsed.to_dict() != block:
                yield f"block {position}: not all of it is known"
        except (SlackObjectFormationError, TypeError) as error:
            yield f"block {position}: {error}"


def main():
    if len(sys.argv) > 1:
        print("usage: check_slack.py <messages.json", file=sys.stderr)
        return 2
    try:
        messages = json.load(sys.stdin)
        blocks = sum(len(message.get("blocks", [])) for message in messages)
    except (ValueError, AttributeError, TypeError) as error:
        print(f"the input is no list of messages: {error}", file=sys.stderr)
        return 2
    found = [f"message {n}: {defect}" for n, message in enumerate(messages) for defect in defects(message)]
    for line in found:
        print(line, file=sys.stderr)
    print(blocks)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
