// Keeps the page of the demo as it is on the server, and presses its buttons without leaving it. Without this file the
// page reads itself again every few seconds.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const link = byId("link");
  const frame = byId("mail-frame");
  let reading = false;
  let again = false;
  // The newest mail is shown until somebody picks or reads one.
  let picked = null;

  function connected(yes) {
    link.hidden = false;
    link.textContent = yes ? "live" : "the demo has ended, or does not answer";
    link.classList.toggle("off", !yes);
  }

  function mark(path) {
    document.querySelectorAll("#r-mails a").forEach((a) => {
      if (a.getAttribute("href") === path) a.setAttribute("aria-current", "true");
      else a.removeAttribute("aria-current");
    });
  }

  function showMail() {
    const newest = document.querySelector("#r-mails a");
    const path = picked || (newest && newest.getAttribute("href"));
    if (!path) return;
    if (frame.getAttribute("src") !== path) frame.setAttribute("src", path);
    mark(path);
  }

  // Whoever is reading a mail keeps it.
  const keep = () => (picked = frame.getAttribute("src"));
  frame.addEventListener("pointerenter", keep);
  window.addEventListener("blur", () => document.activeElement === frame && keep());

  function replace(part, next) {
    // What is open stays open, and where the keyboard is it stays.
    const opened = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    const index = focus && [...part.querySelectorAll("summary, a, button")].indexOf(focus);
    const key = focus && (focus.id || (focus.parentElement && focus.parentElement.id));
    part.replaceChildren(...next.childNodes);
    opened.map(byId).forEach((details) => details && (details.open = true));
    if (!focus || focus === part) return;
    const same = key && byId(key);
    const at = same && (same.tagName === "DETAILS" ? same.querySelector("summary") : same);
    const near = part.querySelectorAll("summary, a, button")[index];
    (at || near || part).focus({ preventScroll: true });
  }

  async function read() {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const answer = await fetch("/", { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const print = page.getElementById("page").dataset.print;
      document.querySelectorAll("[id^='r-']").forEach((part) => {
        const next = page.getElementById(part.id);
        // As the server has it: what was opened or marked here is no change.
        const made = next.innerHTML;
        if (part.made === made) return;
        part.made = made;
        replace(part, next);
      });
      byId("page").dataset.print = print;
      showMail();
    } catch {
      connected(false);
    } finally {
      reading = false;
      if (again) {
        again = false;
        read();
      }
    }
  }

  document.addEventListener("click", (event) => {
    const a = event.target.closest("#r-mails a");
    if (!a || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    picked = a.getAttribute("href");
    showMail();
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (new URL(form.action).origin !== location.origin) return;
    event.preventDefault();
    try {
      const body = new URLSearchParams(new FormData(form, event.submitter));
      await fetch(form.action, { method: "POST", body, headers: { "X-From-Script": "1" } });
      read();
    } catch {
      connected(false);
    }
  });

  const source = new EventSource("/live");
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false));
  source.addEventListener("changed", (event) => {
    if (event.data !== byId("page").dataset.print) read();
  });
  showMail();
})();
