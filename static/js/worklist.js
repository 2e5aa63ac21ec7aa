// The worklist by keyboard, and signs of life of whoever reads a study.
"use strict";

(function () {
  // --- A claim is prolonged by what a person does, not by a page that stands open. -------------

  let acted = true; // Opening the page is a deed.
  ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"].forEach(function (kind) {
    document.addEventListener(kind, function () { acted = true; }, { passive: true });
  });

  document.addEventListener("htmx:configRequest", function (event) {
    if (event.detail.elt.id !== "claim-bar") return;
    if (acted && document.visibilityState === "visible") event.detail.parameters.active = "1";
    acted = false;
  });

  // --- Keys, on the worklist only ---------------------------------------------------------------

  const help = document.getElementById("shortcuts");
  if (!help) return;

  const opener = document.querySelector("[data-shortcuts-open]");
  opener.hidden = false;
  opener.addEventListener("click", function () { help.showModal(); });

  function links() {
    return Array.from(document.querySelectorAll("[data-entry] .study-row-link"));
  }

  function presentRow() {
    return document.activeElement ? document.activeElement.closest("[data-entry]") : null;
  }

  function move(step) {
    const all = links();
    if (!all.length) return;
    const row = presentRow();
    const here = row ? all.indexOf(row.querySelector(".study-row-link")) : -1;
    const next = here < 0 ? (step > 0 ? 0 : all.length - 1) : here + step;
    const link = all[Math.min(Math.max(next, 0), all.length - 1)];
    link.focus();
    link.closest("[data-entry]").scrollIntoView({ block: "nearest" });
  }

  let waiting = false;

  const deeds = {
    j: function () { move(1); },
    k: function () { move(-1); },
    c: function () {
      const row = presentRow();
      // A row that was just swapped in does not know htmx yet: its form would leave the page.
      waiting = row !== null && row.closest(".htmx-added, .htmx-request, .htmx-swapping") !== null;
      const button = row && !waiting && row.querySelector("[data-key='c']");
      if (button) button.click();
    },
    n: function () { document.querySelector("[data-key='n']").click(); },
    "/": function () {
      const field = document.getElementById("id_q");
      field.closest("details").open = true;
      field.focus();
    },
    "?": function () { help.showModal(); },
  };

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target.closest("input, select, textarea")) return;
    const deed = deeds[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });

  // The list is renewed under the reader's hands: what had the focus has it again, and where its
  // button has gone (somebody else took the study) the row's link has it.
  let focused = "";
  document.addEventListener("htmx:beforeSwap", function () {
    const row = presentRow();
    focused = row ? row.id.replace("entry-", "") : "";
  });
  document.addEventListener("htmx:afterSettle", function () {
    const link = focused && !presentRow() && document.getElementById("open-" + focused);
    if (link) link.focus();
    if (waiting) deeds.c();
  });
})();
