// Runs on every page: closes the user menu, and keeps self-renewing parts honest.
"use strict";

(function () {
  // A click elsewhere, or Escape, closes an open menu.
  document.addEventListener("click", function (event) {
    document.querySelectorAll("details.user-menu[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.user-menu[open]").forEach(function (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  function showConnectionNotice(lost) {
    const notice = document.getElementById("connection-notice");
    if (notice && notice.hidden === lost) notice.hidden = !lost;
  }

  document.addEventListener("htmx:sendError", function () { showConnectionNotice(true); });
  document.addEventListener("htmx:timeout", function () { showConnectionNotice(true); });
  document.addEventListener("htmx:afterOnLoad", function () { showConnectionNotice(false); });

  // A session that ended answers with the sign-in page, which must not be put into a corner of
  // this one: the whole page is loaded again, and leads to signing in and back. The same when what
  // the page shows is gone or closed: the person is told, instead of the page asking for ever.
  document.addEventListener("htmx:beforeSwap", function (event) {
    const detail = event.detail;
    const asked = new URL(detail.pathInfo.finalRequestPath || detail.pathInfo.requestPath, location.href);
    const answered = detail.xhr.responseURL ? new URL(detail.xhr.responseURL) : asked;
    const turnedAway = answered.pathname !== asked.pathname || [401, 403, 404].includes(detail.xhr.status);
    if (turnedAway) {
      detail.shouldSwap = false;
      location.reload();
    }
  });
})();
