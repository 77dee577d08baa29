// Keeps the board as it is on the server: reads the page again when the server says that it has changed, and once a
// minute for the waiting times. Without this file the page reads itself again every half a minute.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const link = byId("link");
  let reading = false;
  let again = false;

  function connected(yes) {
    link.hidden = false;
    link.textContent = yes ? link.dataset.on : link.dataset.off;
    link.classList.toggle("off", !yes);
  }

  // What a person has begun: where they are, what they have opened and written.
  function begun(board) {
    const at = document.activeElement;
    const changed = (field) =>
      field.tagName === "SELECT"
        ? [...field.options].some((option) => option.selected !== option.defaultSelected)
        : field.value !== field.defaultValue;
    return {
      focus: board.contains(at) ? at.id : "",
      from: at && "selectionStart" in at ? at.selectionStart : null,
      to: at && "selectionEnd" in at ? at.selectionEnd : null,
      opened: [...board.querySelectorAll("details[open][id]")].map((details) => details.id),
      written: [...board.querySelectorAll("input[id], select[id]")]
        .filter(changed)
        .map((field) => [field.id, field.value]),
    };
  }

  function goOn(state) {
    state.opened.map(byId).forEach((details) => details && (details.open = true));
    state.written.forEach(([id, value]) => byId(id) && (byId(id).value = value));
    const at = state.focus && byId(state.focus);
    if (at) {
      at.focus({ preventScroll: true });
      if (state.from !== null && at.setSelectionRange) at.setSelectionRange(state.from, state.to);
    } else if (state.focus) {
      // What they were at is gone; without this a keyboard would begin at the top of the page.
      byId("board").focus({ preventScroll: true });
    }
  }

  async function read() {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const answer = await fetch(byId("board").dataset.here, { cache: "no-store", credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById("board");
      if (!next) {
        // Logged out, most likely.
        if (answer.ok || answer.status < 500) location.reload();
        return;
      }
      const board = byId("board");
      // A message about what the person has just done stays until something else happens.
      const said = board.querySelector(".said");
      const state = begun(board);
      if (said && next.dataset.print === board.dataset.print) next.querySelector("h1").after(said);
      if (next.innerHTML !== board.innerHTML) {
        board.replaceWith(next);
        goOn(state);
      } else {
        board.dataset.print = next.dataset.print;
      }
      const counts = page.getElementById("counts").textContent;
      if (byId("counts").textContent !== counts) byId("counts").textContent = counts;
      document.title = page.title;
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

  const source = new EventSource(byId("board").dataset.live);
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => {
    connected(false);
    // The server has refused: whoever is logged out is asked to log in.
    if (source.readyState === EventSource.CLOSED) read();
  });
  source.addEventListener("changed", (event) => {
    if (event.data !== byId("board").dataset.print) read();
  });
  setInterval(read, 60000);
})();
