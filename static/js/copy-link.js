// Pages that show a secret link once: a button that copies it.
"use strict";

document.querySelectorAll("[data-copy]").forEach(function (button) {
  const field = document.getElementById(button.dataset.copy);
  const status = document.querySelector("[data-copy-status]");
  button.hidden = false;
  button.addEventListener("click", async function () {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      status.textContent = status.dataset.copied;
    } catch {
      // The clipboard is closed to pages without TLS; the text is selected for Ctrl-C.
      status.textContent = status.dataset.selected;
    }
  });
});
