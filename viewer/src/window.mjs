// Windows of DICOM (PS3.3 C.11.2.1.2): centre and width, and the values that become black and white.

/** The narrowest width that a function knows. */
export function leastWidth(about) {
  if (about.function === "LINEAR") return about.type === "float32" ? 1.001 : 2;
  return about.type === "float32" ? (about.maximum - about.minimum) / 4096 || 0.001 : 1;
}

/** A width of one is a threshold: drawn as narrow as lines go. */
export function widthOf(window) {
  return window.width <= 1 ? 1.001 : window.width;
}

/** The values that are drawn black and white, as Cornerstone takes them. */
export function rangeOf(window, kind) {
  const width = widthOf(window);
  if (kind === "LINEAR_EXACT") {
    return { lower: window.centre - width / 2, upper: window.centre + width / 2 };
  }
  const half = (width - 1) / 2;
  return { lower: window.centre - 0.5 - half, upper: window.centre - 0.5 + half };
}

/** The window that shows everything between the smallest and the largest value. */
export function wholeRange(about) {
  const span = Math.max(about.maximum - about.minimum, 1);
  return about.function === "LINEAR_EXACT"
    ? { centre: about.minimum + span / 2, width: span }
    : { centre: about.minimum + (span + 1) / 2, width: span + 1 };
}

/** A window of a part of the whole range: where a preset has to fit files of any depth. */
export function share(about, from, to) {
  const whole = wholeRange(about);
  const low = whole.centre - whole.width / 2;
  return { centre: low + (whole.width * (from + to)) / 2, width: Math.max(whole.width * (to - from), 2) };
}
