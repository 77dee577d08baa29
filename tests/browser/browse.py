#!/usr/bin/env python3
"""A person at a browser: does what it is told, and says what is wrong with what it sees.

Arguments: the program of Chromium, and a folder for screenshots.
Standard input: one JSON object a line, {"do": NAME, …} with the arguments of one of the functions of `Browser`.
Standard output: one JSON object a line, {"done": …} or {"failed": "why"}. Ends, with Chromium, when its input does.
"""

import base64
import email
import email.policy
import json
import pathlib
import sys
import time

from playwright.sync_api import Error, sync_playwright

WIDTHS = (360, 1280)
SCHEMES = ("light", "dark")
PATIENCE = 20_000  # milliseconds
LOOKS = pathlib.Path(__file__).with_name("looks.js").read_text(encoding="utf-8")


class Browser:
    def __init__(self, context, shots):
        self.shots = shots
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.set_viewport_size({"width": WIDTHS[-1], "height": 900})
        self.found = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.found.append(said.text))
        self.page.on("pageerror", lambda error: self.found.append(str(error)))
        # Its own function, so that nothing of it is in the way of the page's.
        self.looks = lambda name, *given: self.page.evaluate(f"(given) => {{ {LOOKS}\nreturn {name}(...given); }}", given)

    def seen(self, answer):
        return {"status": answer.status if answer else None, "text": self.page.inner_text("body"), "url": self.page.url}

    def open(self, url):
        return self.seen(self.page.goto(url))

    def show(self, html):
        self.page.set_content(html)

    def open_link_of_mail(self, mail, name):
        """Shows a mail (base64, as DATA brought it) and follows the link with this text."""
        read = email.message_from_bytes(base64.b64decode(mail), policy=email.policy.default)
        self.page.set_content(read.get_body(("html",)).get_content())
        with self.page.expect_navigation() as navigation:
            self.page.get_by_role("link", name=name).click()
        return self.seen(navigation.value)

    def press(self, key, leads=False):
        if not leads:
            return self.page.keyboard.press(key)
        with self.page.expect_navigation() as navigation:
            self.page.keyboard.press(key)
        return self.seen(navigation.value)

    def type(self, text):
        self.page.keyboard.type(text)

    def tab_to(self, selector):
        """Presses Tab until something is reached. What does not show on the way that it has the focus is a fault."""
        faults = []
        for _ in range(60):
            self.page.keyboard.press("Tab")
            faults += self.looks("focusFaults")
            if self.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return faults
        raise Error(f"Tab does not lead to {selector}")

    def value(self, script):
        return self.page.evaluate(script)

    def until(self, script):
        """Waits until an expression is true. Asked from outside: inside, the page's policy forbids to evaluate a text."""
        ends = time.monotonic() + PATIENCE / 1000
        while not self.value(script):
            if time.monotonic() > ends:
                raise Error(f"it does not come true: {script}")
            self.page.wait_for_timeout(50)

    def faults(self, name):
        """What is wrong with the page as it is, at each width, light and dark; a screenshot of each is kept."""
        faults = []
        for width in WIDTHS:
            for scheme in SCHEMES:
                self.page.set_viewport_size({"width": width, "height": 900})
                self.page.emulate_media(color_scheme=scheme)
                self.page.screenshot(path=self.shots / f"{name}-{width}-{scheme}.png", full_page=True)
                faults += [f"{width} {scheme}: {fault}" for fault in self.looks("layoutFaults") + self.looks("colourFaults")]
        self.page.emulate_media(color_scheme="light")
        return faults

    def said(self):
        """What the browser's console has said since it was asked last."""
        found, self.found = self.found, []
        return found


def main():
    if len(sys.argv) != 3:
        print("usage: browse.py CHROMIUM FOLDER", file=sys.stderr)
        sys.exit(2)
    shots = pathlib.Path(sys.argv[2])
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=sys.argv[1])
        browser = Browser(chromium.new_context(locale="tr-TR"), shots)
        for line in sys.stdin:
            order = json.loads(line)
            try:
                answer = {"done": getattr(browser, order.pop("do"))(**order)}
            except Error as error:
                answer = {"failed": f"{error.message}\n{browser.page.url}: {browser.found}"}
            print(json.dumps(answer), flush=True)
        chromium.close()


if __name__ == "__main__":
    main()
