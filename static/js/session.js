// Watches over the end of the session: warns before it, hides the page after it, in every tab.
// What somebody does in the page keeps the session alive; what the page asks by itself does not.
"use strict";

(function () {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("session") : null;
  const watch = document.getElementById("session-watch");
  if (!watch) {
    // A page of nobody, for example the one for signing in: other tabs may have lost their session.
    if (channel) channel.postMessage({ ask: true });
    return;
  }
  const warning = document.getElementById("session-warning");
  const over = document.getElementById("session-over");
  const stay = warning.querySelector("[data-session-stay]");
  const seconds = warning.querySelector("[data-session-seconds]");
  const warnMs = 1000 * watch.dataset.warn;
  const everyMs = 1000 * watch.dataset.every;
  let idleEnd = 0;
  let ageEnd = 0;
  let renewedAt = Date.now();
  let asking = false;
  let isSure = true; // Another tab may have renewed the session since; then the server is asked.

  function take(left) {
    idleEnd = Date.now() + 1000 * left.idle_s;
    ageEnd = Date.now() + 1000 * left.age_s;
    isSure = true;
    tick();
  }

  function leave() {
    const here = encodeURIComponent(location.pathname + location.search);
    location.replace(watch.dataset.login + "?closed=idle&next=" + here);
  }

  async function ask(address, method) {
    if (asking) return;
    asking = true;
    try {
      const headers = { Accept: "application/json" };
      const token = document.querySelector("input[name=csrfmiddlewaretoken]");
      if (method === "POST" && token) headers["X-CSRFToken"] = token.value;
      const answer = await fetch(address, { method: method, headers: headers, cache: "no-store" });
      if (answer.status === 401) {
        // A page that holds what was not sent says so itself, and goes on after signing in
        // again in another tab. Its time runs out like any other's.
        if (!document.body.hasAttribute("data-unsent")) leave();
        return;
      }
      if (answer.ok) take(await answer.json());
    } catch {
      // The portal cannot be reached: the clock of this page goes on, and closes it in time.
    } finally {
      asking = false;
    }
  }

  async function renew() {
    renewedAt = Date.now();
    await ask(watch.dataset.renew, "POST");
    if (channel) channel.postMessage({ ask: true });
  }

  function hide(isOver) {
    document.documentElement.classList.toggle("is-session-over", isOver);
    over.hidden = !isOver;
  }

  function tick() {
    const byAge = ageEnd < idleEnd;
    const left = Math.min(idleEnd, ageEnd) - Date.now();
    if (left > warnMs) {
      if (warning.open) warning.close();
      hide(false);
      return;
    }
    if (!isSure || left <= 0) {
      if (left <= 0) {
        if (warning.open) warning.close();
        hide(true);
      }
      isSure = true;
      ask(watch.dataset.state, "GET");
      return;
    }
    hide(false);
    seconds.textContent = String(Math.ceil(left / 1000));
    stay.hidden = byAge;
    warning.querySelectorAll("[data-session-why]").forEach(function (part) {
      part.hidden = (part.dataset.sessionWhy === "age") !== byAge;
    });
    if (!warning.open) warning.showModal();
  }

  function act() {
    // While the question stands, only its button answers it.
    if (warning.open || !over.hidden || Date.now() - renewedAt < everyMs) return;
    renew();
  }

  ["keydown", "pointerdown", "wheel", "touchmove"].forEach(function (kind) {
    document.addEventListener(kind, act, { passive: true, capture: true });
  });
  stay.addEventListener("click", renew);
  warning.addEventListener("cancel", function (event) {
    event.preventDefault();
    if (!stay.hidden) renew();
  });
  document.addEventListener("submit", function (event) {
    const leaves = new URL(event.target.action, location.href).pathname === "/logout/";
    if (leaves && channel) setTimeout(function () { channel.postMessage({ ask: true }); }, 500);
  });
  document.addEventListener("htmx:afterOnLoad", function () { isSure = false; });
  document.addEventListener("visibilitychange", tick);
  window.addEventListener("pageshow", tick);
  if (channel) channel.onmessage = function () { ask(watch.dataset.state, "GET"); };

  take({ idle_s: Number(watch.dataset.idle), age_s: Number(watch.dataset.age) });
  isSure = false;
  setInterval(tick, 1000);
})();
