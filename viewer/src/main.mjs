// The viewer page. Templates hold all words and buttons; here they come to life.
import { eventTarget, init as initCore, RenderingEngine, setUseCPURendering } from "@cornerstonejs/core";
import { Enums as ToolEnums, init as initTools } from "@cornerstonejs/tools";
import { canDraw } from "./graphics.mjs";
import { Keeper } from "./keep.mjs";
import { Keys } from "./keys.mjs";
import { Measurements } from "./measurements.mjs";
import { Pane } from "./pane.mjs";
import { fetchAhead, registerPixels } from "./pixels.mjs";
import { makeTools, TOOL_NAMES } from "./tools.mjs";
import { share, wholeRange } from "./window.mjs";

const ENGINE = "viewer";
const root = document.getElementById("viewer");
const config = JSON.parse(root.dataset.config);
const { texts, preferences } = config;
const status = document.getElementById("viewer-status");
const one = (selector) => root.querySelector(selector);
const all = (selector) => Array.from(root.querySelectorAll(selector));

const panes = [];
let tools;
let active; // The pane that keys and buttons speak to.
let linking = false;
let sharing = false;

function say(text) {
  status.textContent = text;
}

// ---- what is remembered -------------------------------------------------------------------------

const preferenceKeeper = new Keeper(config.preferences_url, config.csrf, () => {});

function prefer(changes) {
  Object.assign(preferences, changes);
  // Only what was changed here is sent: this page may have been made before another one's change
  // arrived, and would take that back.
  preferenceKeeper.keep({ ...preferenceKeeper.waiting, ...changes });
}

// ---- panes --------------------------------------------------------------------------------------

const hooks = {
  moved(pane) {
    if (!linking || sharing || !pane.isReady) return;
    sharing = true;
    const view = pane.view();
    for (const other of panes) {
      if (other !== pane && other.isReady && !other.shows(view)) other.setView(view);
    }
    sharing = false;
  },
  // Whatever moved a pane (its window, another pane's late arrival), what is drawn is what is shared.
  drawn() {
    if (active) hooks.moved(active);
  },
  windowed(pane) {
    if (!pane.window) return;
    const digits = pane.about.type === "float32" ? 1 : 0;
    pane.root.querySelector("[data-readout]").textContent = texts.readout
      .replace("{width}", pane.window.width.toFixed(digits))
      .replace("{level}", pane.window.centre.toFixed(digits))
      .replace("{zoom}", Math.round(pane.zoom * 100));
  },
  opened(pane) {
    pane.root.querySelector("[data-spacing]").textContent = texts.spacing[pane.about.spacing.kind || "none"];
    applyOverlay();
    measurements.restore(pane);
    if (pane === active) listWindows();
  },
  failed(pane) {
    pane.root.querySelector("[data-readout]").textContent = texts.only_placeholder;
    say(texts.only_placeholder);
  },
};

const measurements = new Measurements({ config, panes: () => panes, say, list: one("[data-measurements]") });

function imageOf(key) {
  return config.images.find((image) => image.id === key);
}

function show(pane, image) {
  measurements.forget(pane);
  pane.root.querySelector("[data-title]").textContent = image.title;
  pane.element.setAttribute("aria-label", texts.picture.replace("{name}", image.title));
  return pane.open(image, preferences.invert);
}

function choose(key, focus) {
  const image = imageOf(key);
  const pane = panes[0];
  if (!image || pane.image === image) return;
  for (const link of all("[data-image]")) {
    if (link.dataset.image === key) {
      link.setAttribute("aria-current", "true");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
      if (focus) link.focus();
    } else link.removeAttribute("aria-current");
  }
  const address = new URL(location.href);
  address.searchParams.set("image", key);
  history.replaceState(null, "", address);
  show(pane, image);
}

function step(by) {
  const at = config.images.indexOf(panes[0].image) + by;
  if (at >= 0 && at < config.images.length) choose(config.images[at].id, false);
}

function makeActive(pane) {
  if (active === pane) return;
  active = pane;
  for (const each of panes) each.root.classList.toggle("pane-active", each === pane && panes.length > 1);
  pressInvert();
  listWindows();
}

// ---- buttons ------------------------------------------------------------------------------------

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

function pickTool(name) {
  if (!TOOL_NAMES.includes(name)) return;
  measurements.stopKeyboard();
  tools.choose(name);
  root.dataset.tool = name;
  for (const button of all("[data-tool-button]")) press(button, button.dataset.toolButton === name);
  if (preferences.tool !== name) prefer({ tool: name });
}

function pressInvert() {
  press(one("[data-action=invert]"), Boolean(active && active.inverted));
}

function invert() {
  active.setInverted(!active.inverted);
  pressInvert();
  prefer({ invert: active.inverted });
}

function applyOverlay() {
  for (const pane of panes) {
    pane.showHeat(preferences.heatmap, preferences.opacity);
    pane.showOutline(preferences.outline);
  }
  const heat = panes.some((pane) => pane.image?.heatmap);
  const outline = panes.some((pane) => pane.image?.outline);
  const heatButton = one("[data-action=heatmap]");
  const outlineButton = one("[data-action=outline]");
  const opacity = one("[data-opacity]");
  heatButton.disabled = !heat;
  outlineButton.disabled = !outline;
  opacity.disabled = !heat || !preferences.heatmap;
  press(heatButton, heat && preferences.heatmap);
  press(outlineButton, outline && preferences.outline);
}

function link(on) {
  linking = on;
  const button = one("[data-action=link]");
  if (button) press(button, on);
  if (on && active) hooks.moved(active);
}

const windowSelect = one("[data-windows]");

/** The windows that can be chosen for the active picture: the file's, the whole range, parts of it. */
function windowsOf(about) {
  const filed = about.windows_from_file && !about.curve ? about.windows : [];
  const dark = about.inverted ? [0.4, 1] : [0, 0.6];
  const bright = about.inverted ? [0, 0.6] : [0.4, 1];
  return [
    ...filed.map((window, number) => [texts.window_filed.replace("{number}", number + 1), window]),
    [texts.window_whole, wholeRange(about)],
    [texts.window_middle, share(about, 0.2, 0.8)],
    [texts.window_dark, share(about, ...dark)],
    [texts.window_bright, share(about, ...bright)],
  ];
}

function listWindows() {
  if (!active?.about) return;
  const options = windowsOf(active.about).map(([name], index) => new Option(index + 1 + "  " + name, index));
  windowSelect.replaceChildren(new Option(texts.window_choose, ""), ...options);
}

function takeWindow(index) {
  if (!active?.about) return;
  const found = windowsOf(active.about)[index];
  if (!found) return;
  active.setWindow(found[1]);
  say(found[0]);
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (root.requestFullscreen) root.requestFullscreen().catch(() => {});
}

const help = document.getElementById("viewer-help");

const actions = {
  invert,
  left: () => active.rotate(270),
  right: () => active.rotate(90),
  mirror: () => active.flip("flipHorizontal"),
  upside: () => active.flip("flipVertical"),
  closer: () => active.zoomBy(1.25),
  farther: () => active.zoomBy(0.8),
  reset() {
    for (const pane of linking ? panes : [active]) if (pane.about) pane.reset();
    say(texts.was_reset);
  },
  heatmap() {
    if (one("[data-action=heatmap]").disabled) return;
    prefer({ heatmap: !preferences.heatmap });
    applyOverlay();
  },
  outline() {
    if (one("[data-action=outline]").disabled) return;
    prefer({ outline: !preferences.outline });
    applyOverlay();
  },
  link() {
    if (panes.length < 2) return;
    link(!linking);
    prefer({ link: linking });
  },
  full: fullScreen,
  help: () => help.showModal(),
  measurements: () => measurements.toggle(one("[data-action=measurements]")),
  compare: () => one("[data-prior]")?.focus(),
  previous: () => step(-1),
  next: () => step(1),
};

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button && actions[button.dataset.action]) {
    actions[button.dataset.action]();
    return;
  }
  const tool = event.target.closest("[data-tool-button]");
  if (tool) pickTool(tool.dataset.toolButton);
  const thumb = event.target.closest("a[data-image]");
  if (thumb && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    choose(thumb.dataset.image, false);
  }
});

one("[data-opacity]").addEventListener("input", (event) => {
  prefer({ opacity: Number(event.target.value) });
  applyOverlay();
});
windowSelect.addEventListener("change", () => {
  if (windowSelect.value !== "") takeWindow(Number(windowSelect.value));
  windowSelect.value = "";
});
one("[data-prior]")?.addEventListener("change", (event) => {
  const address = new URL(location.href);
  address.searchParams.set("image", panes[0].image.id);
  address.searchParams.set("prior", event.target.value || "none");
  prefer({ layout: event.target.value ? "compare" : "single" });
  preferenceKeeper.flush();
  measurements.flush();
  location.assign(address);
});
help.querySelector("[data-shortcuts]").addEventListener("change", (event) => {
  prefer({ shortcuts: event.target.checked });
});
window.addEventListener("pagehide", () => {
  preferenceKeeper.flush();
  measurements.flush();
});

// ---- start --------------------------------------------------------------------------------------

function start() {
  const graphics = canDraw(config);
  initCore({
    rendering: { useCPURendering: !graphics, webGlContextCount: 2 },
  });
  if (!graphics) setUseCPURendering(true);
  root.dataset.renderer = graphics ? "webgl" : "cpu";
  initTools();
  registerPixels();
  const engine = new RenderingEngine(ENGINE);
  tools = makeTools(() => panes, texts);
  for (const figure of all("[data-pane]")) {
    const pane = new Pane(figure, engine, hooks);
    panes.push(pane);
    tools.addPane(pane, ENGINE);
    for (const kind of ["pointerdown", "focus"]) {
      pane.element.addEventListener(kind, () => makeActive(pane), { capture: true });
    }
    pane.element.addEventListener("contextmenu", (event) => event.preventDefault());
  }
  const room = new ResizeObserver(() => engine.resize(true, true));
  for (const pane of panes) room.observe(pane.element);
  for (const name of ["ANNOTATION_COMPLETED", "ANNOTATION_MODIFIED", "ANNOTATION_REMOVED"]) {
    eventTarget.addEventListener(ToolEnums.Events[name], (event) => measurements.changed(event.detail));
  }
  makeActive(panes[0]);
  pickTool(TOOL_NAMES.includes(preferences.tool) ? preferences.tool : "window");
  link(panes.length > 1 && preferences.link);
  applyOverlay();
  root.dataset.ready = "";
  new Keys({ root, help, preferences, actions, pickTool, takeWindow, measurements, active: () => active });
  show(panes[0], imageOf(config.image)).then(() => {
    pressInvert();
    if (panes[1]) return show(panes[1], config.prior);
    return undefined;
  });
}

/** Wait until the 8-bit picture is on the screen, so that nothing here delays it; not for ever. */
async function firstPicture() {
  const placeholder = one("[data-pane=current] [data-placeholder]");
  const painted = placeholder
    .decode()
    .catch(() => {})
    .then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
  await Promise.race([painted, new Promise((done) => setTimeout(done, 2000))]);
}

fetchAhead(config.image, imageOf(config.image).pixels);
firstPicture().then(start);
