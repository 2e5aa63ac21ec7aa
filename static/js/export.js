// Drawing boxes over the pictures of an export. The numbers in the field are what is sent; the
// picture is asked for anew with them, so that one sees what will be exported.
"use strict";

for (const canvas of document.querySelectorAll(".export-canvas[data-preview]")) {
  const picture = canvas.querySelector("img");
  const entry = canvas.parentElement;
  const field = entry.querySelector("input");
  const clear = entry.querySelector("[data-clear]");
  const wide = document.getElementById("id_border");
  let start = null;
  let drawn = null;

  const show = () => {
    const asked = new URLSearchParams({ box: field.value, border: wide.value || "0" });
    picture.src = `${canvas.dataset.preview}?${asked}`;
    clear.hidden = !field.value.trim();
  };
  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    const share = (at, low, size) => Math.min(100, Math.max(0, (100 * (at - low)) / size));
    return {
      x: share(event.clientX, frame.left, frame.width),
      y: share(event.clientY, frame.top, frame.height),
    };
  };
  const sides = (end) => [
    Math.min(start.x, end.x), Math.min(start.y, end.y),
    Math.max(start.x, end.x), Math.max(start.y, end.y),
  ];
  const stop = () => {
    drawn?.remove();
    start = drawn = null;
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    start = place(event);
    drawn = document.createElement("div");
    drawn.className = "export-drawn";
    canvas.append(drawn);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [left, top, right, bottom] = sides(place(event));
    drawn.style.left = `${left}%`;
    drawn.style.top = `${top}%`;
    drawn.style.width = `${right - left}%`;
    drawn.style.height = `${bottom - top}%`;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const box = sides(place(event));
    stop();
    if (box[2] - box[0] < 0.5 || box[3] - box[1] < 0.5) return;
    const text = box.map((side) => side.toFixed(1)).join(" ");
    field.value = field.value.trim() ? `${field.value.trim()}; ${text}` : text;
    show();
  });
  canvas.addEventListener("pointercancel", stop);
  field.addEventListener("change", show);
  wide.addEventListener("change", show);
  clear.addEventListener("click", () => {
    field.value = "";
    show();
    field.focus();
  });
}
