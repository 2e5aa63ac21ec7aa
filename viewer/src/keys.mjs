// Shortcuts, and the arrows on a picture: they do what the chosen tool does.

const LETTERS = {
  w: "window",
  p: "pan",
  z: "zoom",
  l: "length",
  a: "angle",
};
const ACTIONS = {
  i: "invert",
  r: "right",
  R: "left",
  h: "mirror",
  v: "upside",
  "+": "closer",
  "-": "farther",
  0: "reset",
  m: "heatmap",
  o: "outline",
  c: "compare",
  k: "link",
  f: "full",
  n: "measurements",
  "?": "help",
  "[": "previous",
  "]": "next",
};
const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export class Keys {
  constructor(page) {
    this.page = page;
    document.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const { page } = this;
    if (event.ctrlKey || event.altKey || event.metaKey || page.help.open) return;
    if (event.target.closest("input, select, textarea")) return;
    const pane = page.active();
    if (pane && event.target === pane.element && this.onPicture(event, pane)) {
      event.preventDefault();
      return;
    }
    if (!page.preferences.shortcuts) return;
    if (LETTERS[event.key]) page.pickTool(LETTERS[event.key]);
    else if (ACTIONS[event.key]) page.actions[ACTIONS[event.key]]();
    else if (/^[1-9]$/.test(event.key)) page.takeWindow(Number(event.key) - 1);
    else return;
    event.preventDefault();
  }

  /** Keys while a picture has the focus; true where one was meant for it. */
  onPicture(event, pane) {
    const { root, measurements } = this.page;
    const tool = root.dataset.tool;
    const measuring = tool === "length" || tool === "angle";
    if (!pane.about) return false;
    if (event.key === "Delete" || event.key === "Backspace") return measurements.removeSelected(pane);
    if (event.key === "Escape") return measurements.stopKeyboard();
    if (measuring && (event.key === "Enter" || event.key === " ")) {
      return measurements.setPoint(pane, tool);
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return false;
    const far = event.shiftKey ? 4 : 1;
    const [across, down] = [arrow[0] * far, arrow[1] * far];
    if (measuring) measurements.moveCursor(pane, across, down);
    else if (tool === "window") pane.dragWindow(across * 8, down * 8);
    else if (tool === "zoom") pane.zoomBy(1.1 ** (across - down));
    else pane.panBy(-across * 24, -down * 24);
    return true;
  }
}
