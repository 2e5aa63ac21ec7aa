// Compares a PDF with the one that was issued. The file never leaves this computer: its SHA-256 is
// computed here and sent. Browsers compute it on secure pages only; elsewhere the field is left.
"use strict";

(function () {
  const place = document.getElementById("verify-drop");
  const form = document.getElementById("verify-hash");
  if (!place || !window.crypto || !window.crypto.subtle) return;
  const input = document.getElementById("file");
  const complaint = place.querySelector("[role=alert]");
  place.hidden = false;

  input.addEventListener("change", function () {
    if (input.files.length) compare(input.files[0]);
  });
  document.addEventListener("dragover", function (event) { event.preventDefault(); });
  document.addEventListener("drop", function (event) {
    event.preventDefault();
    if (event.dataTransfer.files.length) compare(event.dataTransfer.files[0]);
  });

  async function compare(file) {
    complaint.hidden = true;
    if (file.size > Number(place.dataset.most)) return complain(place.dataset.tooLarge);
    try {
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
      form.elements.sha256.value = Array.from(hash, function (byte) {
        return byte.toString(16).padStart(2, "0");
      }).join("");
      form.submit();
    } catch {
      complain(place.dataset.unread);
    }
  }

  function complain(text) {
    complaint.textContent = text;
    complaint.hidden = false;
  }
})();
