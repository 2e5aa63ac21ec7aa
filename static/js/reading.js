// The reading panel: numbers choose the impression, the impression works out the stance, and what
// is entered is kept even when the page is left at once.
"use strict";

(function () {
  let unsaved = false;

  function form() {
    return document.querySelector("[data-reading-form]");
  }

  function isTyping(target) {
    if (target.isContentEditable || target.tagName === "SELECT" || target.tagName === "TEXTAREA") return true;
    return target.tagName === "INPUT" && !["radio", "checkbox", "range", "button"].includes(target.type);
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const choice = document.querySelector("[data-reading-form] [data-key='" + CSS.escape(event.key) + "']");
    if (!choice || choice.closest("details:not([open])")) return;
    event.preventDefault();
    choice.focus({preventScroll: true});
    choice.click();
  });

  // A definite impression agrees with the answer or it does not; only "can't tell" leaves it open.
  function workOutStance() {
    const filled = form();
    const part = filled && filled.querySelector("[data-answer]");
    const chosen = filled && filled.querySelector("[name='impression']:checked");
    if (!part || !chosen || chosen.value === "unsure") return;
    const stance = chosen.value === part.dataset.answer ? "agrees" : "overrides";
    const radio = part.querySelector("[name='stance'][value='" + stance + "']");
    if (radio) radio.checked = true;
  }

  document.addEventListener("change", function (event) {
    if (event.target.name === "impression" && event.target.form === form()) workOutStance();
  });
  document.addEventListener("input", function (event) {
    if (form() && event.target.form === form()) {
      if (event.target.name === "impression") workOutStance();
      unsaved = true;
    }
  });
  document.addEventListener("htmx:oobAfterSwap", workOutStance);

  // Of a swap the event names what is swapped, and the request who asked for it.
  function isOurs(event) {
    const asker = event.detail.requestConfig ? event.detail.requestConfig.elt : event.detail.elt;
    return form() !== null && form().contains(asker);
  }

  document.addEventListener("htmx:beforeRequest", function (event) {
    if (isOurs(event)) unsaved = false;
  });
  // A refusal is shown where it belongs, and what was entered stays in the form.
  document.addEventListener("htmx:beforeSwap", function (event) {
    if (!isOurs(event) || ![409, 422].includes(event.detail.xhr.status)) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  });
  // After recording and signing the page is loaded anew, and what stands above the panel may have
  // grown by an answer: one goes on at the panel, not where the window happened to be.
  const RETURN = "reading-return";
  document.addEventListener("htmx:beforeOnLoad", function (event) {
    if (!isOurs(event) || !event.detail.xhr.getResponseHeader("HX-Refresh")) return;
    sessionStorage.setItem(RETURN, location.pathname);
    history.scrollRestoration = "manual";
  });
  if (sessionStorage.getItem(RETURN)) {
    const heading = document.getElementById("reading-heading");
    if (heading && sessionStorage.getItem(RETURN) === location.pathname) {
      heading.tabIndex = -1;
      heading.focus({preventScroll: true});
      heading.scrollIntoView({behavior: "instant"});
    }
    sessionStorage.removeItem(RETURN);
    window.addEventListener("load", function () { history.scrollRestoration = "auto"; });
  }

  // What is missing gets the focus: the panel came back with a sentence about it.
  document.addEventListener("htmx:afterSettle", function (event) {
    if (event.target.id !== "reading") return;
    const told = event.target.querySelector("[data-field]");
    const field = told && form() && form().querySelector("[name='" + CSS.escape(told.dataset.field) + "']");
    if (field) field.focus();
  });
  document.addEventListener("htmx:sendError", function (event) {
    if (isOurs(event)) unsaved = true;
  });

  function keep() {
    if (!unsaved || !form()) return;
    navigator.sendBeacon(form().getAttribute("hx-post"), new FormData(form()));
    unsaved = false;
  }
  document.addEventListener("submit", function (event) {
    if (event.target === form()) unsaved = false;
  });
  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-discard]")) unsaved = false;
  });
  window.addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "hidden") keep();
  });
  workOutStance();
})();
