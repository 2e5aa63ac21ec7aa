// The study page: shows or hides the heatmap and sets how strongly it covers the X-ray.
"use strict";

(function () {
  function apply(reading) {
    const toggle = reading.querySelector("[data-heat-switch]");
    const range = reading.querySelector("[data-heat-opacity]");
    const heat = reading.querySelector("[data-heatmap]");
    if (!toggle || !range || !heat) return;
    range.closest("[data-needs-script]").hidden = false;
    range.disabled = !toggle.checked;
    reading.querySelector("output[for='" + range.id + "']").value = range.value + "%";
    heat.style.opacity = String(Number(range.value) / 100);
  }

  function applyAll() {
    document.querySelectorAll("[data-reading]").forEach(apply);
  }

  document.addEventListener("input", function (event) {
    const reading = event.target.closest("[data-reading]");
    if (reading) apply(reading);
  });

  // "v" opens the viewer, from anywhere but a field in which somebody writes.
  document.addEventListener("keydown", function (event) {
    if (event.key !== "v" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("textarea, select, input:not([type=radio], [type=checkbox], [type=range])")) return;
    const here = event.target.closest("[data-reading]") || document;
    const door = here.querySelector(".viewer-open");
    if (!door || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    door.click();
  });

  // A result that arrives while the page is open brings its own controls.
  document.addEventListener("htmx:load", applyAll);
  document.addEventListener("htmx:afterSettle", applyAll);
  applyAll();
})();
