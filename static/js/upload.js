// Sends chosen or dropped files one by one, shows how each fares, and then what the model says.
// The server judges every file; what is checked here only saves a useless transfer.
"use strict";

(function () {
  const PARALLEL = 3;
  const POLL_MS = 700;

  const form = document.getElementById("upload-form");
  if (!form) return;
  const input = document.getElementById("images");
  const list = document.getElementById("upload-list");
  const template = document.getElementById("upload-item");
  const announcer = document.getElementById("announcer");
  const connectionNotice = document.getElementById("connection-notice");
  const maxBytes = Number(form.dataset.maxBytes);
  const FIELDS = { mrn: form.dataset.fieldMrn, name: form.dataset.fieldName, birth_date: form.dataset.fieldBirthDate };
  const items = [];
  let csrfToken = form.querySelector("input[name=csrfmiddlewaretoken]").value;
  let polling = false;

  form.classList.add("scripted");

  // The sentences stand in the page, in its language; %s is filled in.
  function say(word, value) {
    const found = document.getElementById("upload-words").content.querySelector("[data-word=" + word + "]");
    return found.textContent.replace("%s", function () { return String(value); });
  }

  // ---- choosing --------------------------------------------------------------------------

  input.addEventListener("change", function () {
    take(Array.from(input.files));
    input.value = "";
  });
  form.addEventListener("submit", function (event) { event.preventDefault(); });

  // The whole page catches files, so that one dropped beside the field doesn't open in the tab.
  let depth = 0;
  document.addEventListener("dragenter", function (event) {
    if (!carriesFiles(event)) return;
    depth += 1;
    form.classList.add("drop-over");
  });
  document.addEventListener("dragleave", function (event) {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) form.classList.remove("drop-over");
  });
  document.addEventListener("dragover", function (event) {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", function (event) {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    form.classList.remove("drop-over");
    const dropped = Array.from(event.dataTransfer.items || []).filter(function (item) {
      return item.kind === "file";
    });
    const folders = dropped.filter(isFolder).map(function (item) { return item.webkitGetAsEntry().name; });
    take(Array.from(event.dataTransfer.files).filter(function (file) {
      return !folders.includes(file.name);
    }));
    folders.forEach(function (name) {
      const item = add({ name: name + "/", size: 0 });
      refuse(item, say("folder"), "folder");
    });
  });

  function carriesFiles(event) {
    return event.dataTransfer && Array.from(event.dataTransfer.types).includes("Files");
  }

  function isFolder(item) {
    const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
    return Boolean(entry && entry.isDirectory);
  }

  function take(files) {
    files.forEach(function (file) {
      const item = add(file);
      if (file.size > maxBytes) {
        refuse(item, say("too_large", form.dataset.maxMegabytes), "too_large");
      }
    });
    pump();
  }

  // ---- one file -----------------------------------------------------------------------------

  function add(file) {
    const row = template.content.firstElementChild.cloneNode(true);
    const item = { file: file, row: row, state: "waiting", image: null, finished: false, needsToken: false, confirmed: false };
    row.querySelector("[data-name]").textContent = file.name;
    row.querySelector("[data-size]").textContent = file.size ? readable(file.size) : "";
    row.querySelector("progress").setAttribute("aria-label", say("sending_file", file.name));
    row.querySelector("[data-retry]").setAttribute("aria-label", say("again_file", file.name));
    row.querySelector("[data-retry]").addEventListener("click", function () { retry(item); });
    row.querySelector("[data-confirm]").addEventListener("click", function () { settle(item, true); });
    row.querySelector("[data-drop]").addEventListener("click", function () { settle(item, false); });
    list.appendChild(row);
    items.push(item);
    document.getElementById("upload-panel").hidden = false;
    form.classList.add("drop-small");
    summarise();
    return item;
  }

  function readable(bytes) {
    if (bytes < 1024) return bytes + " B";
    if (bytes < 1024 * 1024) return Math.round(bytes / 1024) + " KB";
    return (bytes / 1024 / 1024).toFixed(1) + " MB";
  }

  function show(item, state, status) {
    item.state = state;
    item.row.dataset.state = state;
    item.row.querySelector("[data-status]").textContent = status;
    summarise();
  }

  function explain(item, message, code) {
    const reason = item.row.querySelector("[data-reason]");
    reason.textContent = message + " ";
    if (code) {
      const mark = document.createElement("code");
      mark.textContent = code;
      reason.appendChild(mark);
    }
    reason.hidden = !message;
  }

  function refuse(item, message, code) {
    explain(item, message, code);
    show(item, "refused", say("refused"));
    announce(item.file.name + " refused. " + message);
  }

  // Something between here and the portal went wrong; the file itself was not judged.
  function interrupt(item, message) {
    explain(item, message, "");
    item.row.querySelector("[data-actions]").hidden = false;
    show(item, "broken", say("broken"));
    announce(item.file.name + " not sent. " + message);
  }

  function accept(item, answer) {
    item.image = answer.id;
    if (answer.code === "duplicate") explain(item, answer.message, answer.code);
    show(item, "accepted", say("accepted"));
    announce(item.file.name + " accepted.");
    document.getElementById("open-study").hidden = false;
    poll();
  }

  // The file names another patient: only the person who sends it can tell which of them it is.
  function ask(item, answer) {
    const question = item.row.querySelector("[data-question]");
    const rows = answer.differences.map(function (difference) {
      const row = document.createElement("tr");
      [FIELDS[difference.field] || difference.field, difference.in_file, difference.in_record].forEach(function (text, place) {
        const cell = document.createElement(place === 0 ? "th" : "td");
        if (place === 0) cell.scope = "row";
        cell.textContent = text;
        row.appendChild(cell);
      });
      return row;
    });
    question.querySelector("tbody").replaceChildren(...rows);
    const heading = question.querySelector("h2");
    heading.id = "question-" + items.indexOf(item);
    question.setAttribute("aria-labelledby", heading.id);
    heading.textContent = form.dataset.question.replace("%s", function () { return item.file.name; });
    question.hidden = false;
    show(item, "asking", form.dataset.asking);
    announce(item.file.name + ": " + answer.message);
  }

  function settle(item, isThePatient) {
    item.row.querySelector("[data-question]").hidden = true;
    item.row.querySelector("[data-name]").tabIndex = -1;
    item.row.querySelector("[data-name]").focus();
    if (isThePatient) {
      item.confirmed = true;
      show(item, "waiting", say("waiting"));
      pump();
    } else {
      refuse(item, form.dataset.dropped, "patient_mismatch");
    }
  }

  async function retry(item) {
    item.row.querySelector("[data-actions]").hidden = true;
    explain(item, "", "");
    item.row.querySelector("progress").value = 0;
    show(item, "waiting", say("waiting"));
    if (item.needsToken && !(await renewToken())) {
      interrupt(item, say("still_out"));
      return;
    }
    item.needsToken = false;
    pump();
  }

  // Signing in again gives a new forgery token; the one this page was made with is worth nothing.
  async function renewToken() {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (!answer.ok || new URL(answer.url).pathname !== location.pathname) return false;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      csrfToken = page.querySelector("#upload-form input[name=csrfmiddlewaretoken]").value;
      return true;
    } catch {
      return false;
    }
  }

  // ---- sending ------------------------------------------------------------------------------

  function pump() {
    const sending = items.filter(function (item) { return item.state === "sending"; }).length;
    items
      .filter(function (item) { return item.state === "waiting"; })
      .slice(0, PARALLEL - sending)
      .forEach(send);
  }

  function send(item) {
    const bar = item.row.querySelector("progress");
    const request = new XMLHttpRequest();
    const body = new FormData();
    if (item.confirmed) body.append("confirm_patient", "1");
    body.append("image", item.file, item.file.name);
    request.open("POST", form.dataset.uploadUrl);
    request.setRequestHeader("X-CSRFToken", csrfToken);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", function (event) {
      if (!event.lengthComputable || item.state !== "sending") return;
      const share = Math.floor((event.loaded / event.total) * 100);
      bar.value = share;
      item.row.querySelector("[data-status]").textContent = share < 100 ? say("sending", share) : say("checking");
    });
    request.addEventListener("load", function () { answered(item, request); pump(); });
    request.addEventListener("error", function () {
      interrupt(item, say("lost"));
      pump();
    });
    request.addEventListener("abort", function () {
      interrupt(item, say("interrupted"));
      pump();
    });
    show(item, "sending", say("sending", 0));
    request.send(body);
  }

  function answered(item, request) {
    const answer = parse(request);
    if (answer && answer.id && request.status < 300) {
      accept(item, answer);
    } else if (answer && answer.code === "patient_mismatch" && answer.differences) {
      ask(item, answer);
    } else if (answer && answer.code && request.status >= 500) {
      interrupt(item, answer.message);
    } else if (answer && answer.code && request.status !== 401) {
      refuse(item, answer.message, answer.code);
    } else if (signedOut(request)) {
      item.needsToken = true;
      interrupt(item, say("out"));
    } else if (request.status === 413) {
      refuse(item, say("over"), "too_large");
    } else {
      interrupt(item, say("not_now", request.status));
    }
  }

  function parse(request) {
    try {
      return JSON.parse(request.responseText);
    } catch {
      return null;
    }
  }

  function signedOut(request) {
    const asked = new URL(form.dataset.uploadUrl, location.href).pathname;
    const elsewhere = request.responseURL && new URL(request.responseURL).pathname !== asked;
    return elsewhere || request.status === 401 || request.status === 403;
  }

  // ---- results ------------------------------------------------------------------------------

  function poll() {
    if (polling) return;
    polling = true;
    setTimeout(askForResults, POLL_MS / 2);
  }

  async function askForResults() {
    try {
      const answer = await fetch(form.dataset.stateUrl, { credentials: "same-origin" });
      if (connectionNotice) connectionNotice.hidden = true;
      if (answer.ok && new URL(answer.url).pathname === new URL(form.dataset.stateUrl, location.href).pathname) {
        place(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
    } catch {
      if (connectionNotice) connectionNotice.hidden = false;
    }
    const waitingFor = items.some(function (item) { return item.image && !item.finished; });
    polling = waitingFor;
    if (waitingFor) setTimeout(askForResults, POLL_MS);
  }

  function place(news) {
    items.forEach(function (item) {
      const found = item.image && news.querySelector("[data-image='" + item.image + "']");
      if (!found || item.finished) return;
      const slot = item.row.querySelector("[data-result]");
      if (slot.textContent.trim() !== found.textContent.trim()) slot.replaceChildren(...found.childNodes);
      if (found.dataset.finished === "1") {
        item.finished = true;
        if (found.dataset.code) {
          // Taken in, but not read: the chip says which, and here it says why.
          item.row.querySelector("[data-status]").textContent = "";
          explain(item, found.dataset.message, found.dataset.code);
        }
        announce(item.file.name + ": " + slot.textContent.replace(/\s+/g, " ").trim());
      }
    });
    summarise();
  }

  // ---- telling ------------------------------------------------------------------------------

  function announce(text) {
    const line = document.createElement("p");
    line.textContent = text;
    announcer.appendChild(line);
    while (announcer.childElementCount > 8) announcer.firstElementChild.remove();
  }

  function count(state) {
    return items.filter(function (item) { return item.state === state; }).length;
  }

  function summarise() {
    const underWay = count("waiting") + count("sending");
    const analysing = items.filter(function (item) { return item.image && !item.finished; }).length;
    const parts = [];
    if (underWay) parts.push(say("sum_sending", underWay));
    if (count("accepted")) parts.push(say("sum_accepted", count("accepted")));
    if (count("asking")) parts.push(say("sum_asking", count("asking")));
    if (count("refused")) parts.push(say("sum_refused", count("refused")));
    if (count("broken")) parts.push(say("sum_broken", count("broken")));
    if (!underWay && analysing) parts.push(say("sum_analysing", analysing));
    document.getElementById("upload-summary").textContent = parts.join(", ");
    // Files that the portal has not taken yet exist only here: nothing else may leave this page.
    document.body.toggleAttribute("data-unsent", underWay + count("asking") + count("broken") > 0);
  }

  // Somebody may have chosen files before this script was there.
  if (input.files.length) {
    take(Array.from(input.files));
    input.value = "";
  }

  window.addEventListener("beforeunload", function (event) {
    if (count("waiting") + count("sending") + count("asking") > 0) event.preventDefault();
  });
})();
