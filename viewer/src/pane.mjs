// One picture on the screen: its placeholder, its true values, what is laid over it, how it is seen.
import { Enums } from "@cornerstonejs/core";
import { triggerAnnotationRenderForViewportIds } from "@cornerstonejs/tools/utilities";
import { toPixels, toWorld } from "./geometry.mjs";
import { aboutImage, announceImage, imageIdOf } from "./pixels.mjs";
import { leastWidth, rangeOf } from "./window.mjs";

const SVG = "http://www.w3.org/2000/svg";
const LEAST_ZOOM = 0.2;
const MOST_ZOOM = 40;

export class Pane {
  /**
   * @param root the pane's <figure>
   * @param engine the rendering engine, in which it enables a viewport named after the figure
   * @param hooks what the page wants to hear: moved(pane), drawn(), opened(pane), failed(pane),
   *   windowed(pane)
   */
  constructor(root, engine, hooks) {
    this.root = root;
    this.name = root.dataset.pane;
    this.engine = engine;
    this.hooks = hooks;
    this.element = root.querySelector("[data-picture]");
    this.placeholder = root.querySelector("[data-placeholder]");
    this.layer = root.querySelector("[data-layer]");
    this.frame = this.layer.querySelector("[data-frame]");
    this.image = null;
    this.about = undefined;
    this.window = null;
    this.turn = { rotation: 0, flipHorizontal: false, flipVertical: false };
    this.inverted = false;
    this.cursor = null;
    engine.enableElement({
      viewportId: this.name,
      type: Enums.ViewportType.STACK,
      element: this.element,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.viewport = engine.getViewport(this.name);
    this.element.addEventListener(Enums.Events.IMAGE_RENDERED, () => {
      this.place();
      this.hooks.drawn();
    });
    this.element.addEventListener(Enums.Events.CAMERA_MODIFIED, () => {
      this.place();
      this.hooks.moved(this);
    });
    this.element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Show an image of the page's list: its 8-bit picture at once, its true values when they came. */
  async open(image, inverted) {
    this.image = image;
    this.about = undefined;
    this.window = null;
    this.root.dataset.state = "loading";
    if (this.placeholder.getAttribute("src") !== image.display) this.placeholder.src = image.display;
    this.placeholder.hidden = false;
    this.clearLayer();
    announceImage(image.id, image.pixels);
    try {
      await this.viewport.setStack([imageIdOf(image.id)]);
    } catch {
      this.fail(image);
      return;
    }
    if (this.image !== image) return; // Somebody chose another one meanwhile.
    if (!aboutImage(image.id)) {
      this.fail(image);
      return;
    }
    this.about = aboutImage(image.id);
    this.inverted = inverted;
    this.reset();
    this.layOver();
    await new Promise((done) => {
      this.element.addEventListener(Enums.Events.IMAGE_RENDERED, done, { once: true });
      this.viewport.render();
    });
    if (this.image !== image) return;
    this.placeholder.hidden = true;
    this.root.dataset.state = "ready";
    performance.mark("values:" + image.id);
    this.hooks.opened(this);
  }

  fail(image) {
    if (this.image !== image) return;
    this.root.dataset.state = "failed";
    this.hooks.failed(this);
  }

  get isReady() {
    return this.root.dataset.state === "ready";
  }

  // ---- window ---------------------------------------------------------------------------------

  setWindow(window) {
    if (!this.about) return;
    const width = Math.max(window.width, leastWidth(this.about));
    this.window = { centre: window.centre, width };
    this.viewport.setProperties({ voiRange: rangeOf(this.window, this.about.function) });
    this.viewport.render();
    this.hooks.windowed(this);
  }

  /** Move the window by a drag of so many pixels: to the right wider, downwards brighter. */
  dragWindow(across, down) {
    if (!this.window) return;
    const step = Math.max(this.about.maximum - this.about.minimum, 1) / 600;
    const brighter = this.isShownInverted() ? 1 : -1;
    this.setWindow({
      centre: this.window.centre + brighter * down * step,
      width: Math.max(this.window.width + across * step, leastWidth(this.about)),
    });
  }

  isShownInverted() {
    return this.about.inverted !== this.inverted;
  }

  setInverted(inverted) {
    this.inverted = inverted;
    if (!this.about) return;
    this.viewport.setProperties({ invert: this.isShownInverted() });
    this.viewport.render();
  }

  // ---- how it is seen -------------------------------------------------------------------------

  reset() {
    this.turn = { rotation: 0, flipHorizontal: false, flipVertical: false };
    this.viewport.setViewPresentation({ ...this.turn, zoom: this.viewport.getZoom() });
    this.viewport.resetCamera();
    this.fit = this.viewport.getCamera().parallelScale;
    this.viewport.setProperties({ invert: this.isShownInverted() });
    this.setWindow(this.about.windows[0]);
  }

  rotate(degrees) {
    this.turn.rotation = (this.turn.rotation + degrees + 360) % 360;
    this.applyTurn();
  }

  flip(way) {
    this.turn[way] = !this.turn[way];
    // Mirrored as it is seen now, also when the picture lies on its side.
    if (this.turn.rotation % 180 !== 0) this.turn.rotation = (this.turn.rotation + 180) % 360;
    this.applyTurn();
  }

  applyTurn() {
    if (!this.about) return;
    const view = this.view();
    this.viewport.setViewPresentation({ ...this.turn, zoom: this.viewport.getZoom() });
    this.setView(view);
  }

  get zoom() {
    return this.fit ? this.fit / this.viewport.getCamera().parallelScale : 1;
  }

  /** Zoom, and where the middle of the picture lies on the screen: what another pane can take over. */
  view() {
    const middle = this.toCanvas([this.about.columns / 2, this.about.rows / 2]);
    return {
      zoom: this.zoom,
      offset: [
        middle[0] - this.element.clientWidth / 2,
        middle[1] - this.element.clientHeight / 2,
      ],
    };
  }

  setView({ zoom, offset }) {
    if (!this.about) return;
    this.viewport.setCamera({ parallelScale: this.fit / zoom });
    const now = this.view();
    this.shift(offset[0] - now.offset[0], offset[1] - now.offset[1]);
    this.viewport.render();
  }

  /** Whether this is the view already, as far as an eye could tell. */
  shows({ zoom, offset }) {
    const now = this.view();
    const apart = Math.hypot(offset[0] - now.offset[0], offset[1] - now.offset[1]);
    return apart < 0.1 && Math.abs(zoom / now.zoom - 1) < 1e-4;
  }

  /** Move the picture by so many pixels of the screen, without drawing it. */
  shift(across, down) {
    const { focalPoint, position } = this.viewport.getCamera();
    const from = this.viewport.canvasToWorld([0, 0]);
    const to = this.viewport.canvasToWorld([across, down]);
    const back = (point) => point.map((value, axis) => value - (to[axis] - from[axis]));
    this.viewport.setCamera({ focalPoint: back(focalPoint), position: back(position) });
  }

  panBy(across, down) {
    if (!this.about) return;
    this.shift(across, down);
    this.viewport.render();
  }

  /** Zoom by a factor, what lies at ``place`` (in the pane; the middle unless given) staying there. */
  zoomBy(factor, place) {
    if (!this.about) return;
    const at = place || [this.element.clientWidth / 2, this.element.clientHeight / 2];
    const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    const world = this.viewport.canvasToWorld(at);
    this.viewport.setCamera({ parallelScale: this.fit / zoom });
    const moved = this.viewport.worldToCanvas(world);
    this.panBy(at[0] - moved[0], at[1] - moved[1]);
  }

  wheel(event) {
    event.preventDefault();
    const box = this.element.getBoundingClientRect();
    this.zoomBy(Math.exp(-event.deltaY / 500), [event.clientX - box.left, event.clientY - box.top]);
  }

  toPixels(canvasPoint) {
    return toPixels(this.viewport.canvasToWorld(canvasPoint), this.about);
  }

  toCanvas(point) {
    return this.viewport.worldToCanvas(toWorld(point, this.about));
  }

  redrawMeasurements() {
    triggerAnnotationRenderForViewportIds([this.name]);
  }

  // ---- what is laid over ----------------------------------------------------------------------

  clearLayer() {
    this.frame.replaceChildren();
    this.heat = null;
    this.outline = null;
    this.cross = null;
    this.cursor = null;
  }

  /** Heatmap and outline in pixels of the image, for ``place`` to move with it. */
  layOver() {
    const { rows, columns } = this.about;
    this.clearLayer();
    if (this.image.heatmap) {
      this.heat = document.createElementNS(SVG, "image");
      this.heat.setAttribute("width", columns);
      this.heat.setAttribute("height", rows);
      this.heat.setAttribute("preserveAspectRatio", "none");
      this.heat.setAttribute("class", "heat");
      this.frame.append(this.heat);
    }
    if (this.image.outline) {
      this.outline = document.createElementNS(SVG, "g");
      this.outline.setAttribute("class", "outline");
      for (const ring of this.image.outline) {
        const shape = document.createElementNS(SVG, "polygon");
        shape.setAttribute("points", ring.map(([x, y]) => x * columns + "," + y * rows).join(" "));
        shape.setAttribute("vector-effect", "non-scaling-stroke");
        this.outline.append(shape);
      }
      this.frame.append(this.outline);
    }
    this.cross = document.createElementNS(SVG, "path");
    this.cross.setAttribute("class", "cross");
    this.cross.setAttribute("vector-effect", "non-scaling-stroke");
    this.frame.append(this.cross);
    this.place();
  }

  showHeat(shown, opacity) {
    if (!this.heat) return;
    // Fetched when it is wanted: each look at it is written down.
    if (shown && !this.heat.getAttribute("href")) this.heat.setAttribute("href", this.image.heatmap);
    this.heat.setAttribute("visibility", shown ? "visible" : "hidden");
    this.heat.setAttribute("opacity", String(opacity / 100));
  }

  showOutline(shown) {
    if (this.outline) this.outline.setAttribute("visibility", shown ? "visible" : "hidden");
  }

  /** A cross for measuring without a mouse, and the points that were set already. */
  showCursor(points) {
    if (!this.cross || !this.about) return;
    const arm = 9 / this.pixelSize();
    const marks = (points || []).map(([x, y], index, all) => {
      const reach = index === all.length - 1 ? arm : arm / 2;
      return "M" + (x - reach) + "," + y + "h" + 2 * reach + "M" + x + "," + (y - reach) + "v" + 2 * reach;
    });
    this.cross.setAttribute("d", marks.join(""));
  }

  /** How many pixels of the screen a pixel of the image takes. */
  pixelSize() {
    const [from, to] = [this.toCanvas([0, 0]), this.toCanvas([1, 0])];
    return Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  }

  place() {
    if (!this.about) return;
    const [corner, right, below] = [[0, 0], [1, 0], [0, 1]].map((point) => this.toCanvas(point));
    const matrix = [
      right[0] - corner[0],
      right[1] - corner[1],
      below[0] - corner[0],
      below[1] - corner[1],
      corner[0],
      corner[1],
    ];
    if (!matrix.every(Number.isFinite)) return;
    this.frame.setAttribute("transform", "matrix(" + matrix.join(" ") + ")");
    this.hooks.windowed(this);
  }
}
