"use strict";
// Asks for this page again and takes over what differs. Every text arrives escaped, and becomes
// text nodes and attributes again; nothing here turns a text into markup.
(() => {
  const EVERY = 2000, PATIENCE = 5000, STALE = 6000;
  const pulse = document.getElementById("pulse"), main = document.getElementById("status");
  const sections = document.getElementById("sections");
  const ask = document.getElementById("ask"), refusal = document.getElementById("refusal");
  const token = document.getElementById("token");
  let key = "", heard = performance.now(), asking = false, refused = !ask.hidden, spoken = "", trouble = "";

  function say(text, detail = "") {
    // A screen reader hears a change of the words, not every second that passes.
    if (text !== spoken) {
      pulse.replaceChildren(text, Object.assign(document.createElement("span"), { id: "since" }));
      pulse.lastChild.setAttribute("aria-hidden", "true");
      spoken = text;
    }
    pulse.lastChild.textContent = detail;
  }

  function alive(is) {
    document.body.className = is ? "live" : "stale";
    if (is) say("live");
  }

  function update(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    const had = [...old.childNodes], has = [...fresh.childNodes];
    has.forEach((child, place) => (place < had.length ? update(had[place], child) : old.append(child)));
    had.slice(has.length).forEach((child) => child.remove());
  }

  function take(answer, fresh) {
    refused = answer.status === 401 || answer.status === 403;
    ask.hidden = !refused;
    sections.hidden = refused;
    heard = performance.now();
    if (refused) {
      if (document.activeElement !== token) token.focus();
      refusal.textContent = fresh.getElementById("refusal")?.textContent ?? `refused: ${answer.status}`;
      main.replaceChildren();
      document.body.className = "";
      say("");
      return;
    }
    document.title = fresh.title;
    document.getElementById("version").textContent = fresh.getElementById("version").textContent;
    update(main, fresh.getElementById("status"));
    alive(true);
  }

  async function look() {
    if (asking) return;
    asking = true;
    try {
      const headers = { Accept: "text/html" };
      if (key) headers.Authorization = `Bearer ${key}`;
      const signal = AbortSignal.timeout(PATIENCE);
      const answer = await fetch(location.pathname, { headers, signal, cache: "no-store" });
      const text = await answer.text();
      if (!answer.ok && answer.status !== 401 && answer.status !== 403) throw new Error(`HTTP ${answer.status}`);
      take(answer, new DOMParser().parseFromString(text, "text/html"));
    } catch (error) {
      // Said by the clock below, once it has lasted.
      trouble = /^HTTP/.test(error.message) ? ` (${error.message})` : "";
    } finally {
      asking = false;
    }
  }

  function tick() {
    const silent = performance.now() - heard;
    if (refused || silent < STALE) return;
    alive(false);
    const seconds = Math.floor(silent / 1000);
    say("no answer since ", (seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`) + trouble);
  }

  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    key = token.value.trim();
    token.value = "";
    look();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !refused) look();
  });
  setInterval(() => {
    if (!document.hidden && !refused) look();
  }, EVERY);
  setInterval(tick, 1000);
  if (!refused) alive(true);
})();
