// What was measured on the pictures: kept with the reading of whoever measured, listed for those
// who don't see it, and drawn by keys for those who have no mouse.
import { annotation } from "@cornerstonejs/tools";
import { fetchJson, Keeper } from "./keep.mjs";
import { asItem, draw, drawnOn, erase, lock, pointsNeeded, words } from "./measure.mjs";
import { imageIdOf } from "./pixels.mjs";

export class Measurements {
  constructor({ config, panes, say, list }) {
    this.config = config;
    this.texts = config.texts;
    this.panes = panes;
    this.say = say;
    this.panel = list;
    this.keepers = new Map(); // image id → Keeper
    this.locked = new Map(); // image id → whether its measurements may change no more
    this.quiet = false;
    this.points = [];
  }

  /** Draw what was measured here before. */
  async restore(pane) {
    const { image } = pane;
    let kept;
    try {
      kept = await fetchJson(image.measurements);
    } catch {
      this.say(this.texts.measurements_unknown);
      this.locked.set(image.id, true);
      return;
    }
    if (pane.image !== image) return;
    this.locked.set(image.id, kept.locked);
    this.quiet = true;
    for (const one of drawnOn(imageIdOf(image.id))) erase(one.annotationUID);
    for (const item of kept.items) {
      const uid = draw(item, pane);
      if (kept.locked) lock(uid);
    }
    this.quiet = false;
    pane.redrawMeasurements();
    this.show();
  }

  forget(pane) {
    this.stopKeyboard();
    if (pane.image) this.keepers.get(pane.image.id)?.flush();
  }

  flush() {
    for (const keeper of this.keepers.values()) keeper.flush();
  }

  keeperOf(image) {
    if (!this.keepers.has(image.id)) {
      this.keepers.set(
        image.id,
        new Keeper(image.measurements, this.config.csrf, (said) => this.told(image, said)),
      );
    }
    return this.keepers.get(image.id);
  }

  told(image, said) {
    if (said === "saving") return;
    if (said === "saved") {
      this.say(this.texts.saved);
      return;
    }
    if (said.status === 409) {
      this.locked.set(image.id, true);
      for (const pane of this.panes()) if (pane.image === image) this.restore(pane);
    }
    // Without the session's cookies the answer is a refusal with no words for programs.
    const signedOut = said.signedOut || (said.status === 403 && !said.code);
    this.say(said.message || (signedOut ? this.texts.signed_out : this.texts.not_saved));
  }

  /** Cornerstone says that a measurement was made, moved or taken away. */
  changed(detail) {
    if (this.quiet) return;
    const imageId = detail.annotation?.metadata.referencedImageId;
    const pane = this.panes().find((each) => each.image && imageIdOf(each.image.id) === imageId);
    if (!pane || !pane.isReady) return;
    if (this.locked.get(pane.image.id) !== false) {
      if (this.locked.get(pane.image.id)) this.restore(pane);
      this.say(this.texts.locked);
      return;
    }
    const items = drawnOn(imageId).map((one) => asItem(one, pane));
    this.keeperOf(pane.image).keep({ items });
    this.show();
  }

  // ---- the list -----------------------------------------------------------------------------------

  toggle(button) {
    this.panel.hidden = !this.panel.hidden;
    button.setAttribute("aria-expanded", String(!this.panel.hidden));
    this.show();
  }

  show() {
    const list = this.panel.querySelector("ul");
    const rows = [];
    for (const pane of this.panes()) {
      if (!pane.isReady) continue;
      for (const one of drawnOn(imageIdOf(pane.image.id))) rows.push(this.row(pane, one));
    }
    list.replaceChildren(...rows);
    this.panel.querySelector("[data-none]").hidden = rows.length > 0;
  }

  row(pane, one) {
    const item = asItem(one, pane);
    const said = this.texts[item.kind] + " " + words(item, pane.about, this.texts).join(", ");
    const row = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = this.panes().length > 1 ? pane.image.title + ": " + said : said;
    row.append(text);
    if (this.locked.get(pane.image.id) === false) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "viewer-button viewer-button-text";
      button.textContent = this.texts.remove;
      button.setAttribute("aria-label", this.texts.remove + ": " + said);
      button.addEventListener("click", () => {
        erase(one.annotationUID);
        pane.redrawMeasurements();
        pane.element.focus();
      });
      row.append(button);
    }
    return row;
  }

  removeSelected(pane) {
    const mine = drawnOn(imageIdOf(pane.image.id));
    const chosen = mine.filter(
      (one) => one.highlighted || annotation.selection.isAnnotationSelected(one.annotationUID),
    );
    if (!chosen.length || this.locked.get(pane.image.id) !== false) return false;
    for (const one of chosen) erase(one.annotationUID);
    pane.redrawMeasurements();
    this.say(this.texts.removed);
    return true;
  }

  // ---- without a mouse ------------------------------------------------------------------------------

  moveCursor(pane, across, down) {
    const step = 6 / pane.pixelSize();
    const { columns, rows } = pane.about;
    const [x, y] = pane.cursor || [columns / 2, rows / 2];
    pane.cursor = [
      Math.min(columns, Math.max(0, x + across * step)),
      Math.min(rows, Math.max(0, y + down * step)),
    ];
    pane.showCursor([...this.points, pane.cursor]);
  }

  setPoint(pane, kind) {
    if (this.locked.get(pane.image.id) !== false) {
      this.say(this.texts.locked);
      return true;
    }
    if (!pane.cursor) this.moveCursor(pane, 0, 0);
    this.points.push([...pane.cursor]);
    if (this.points.length === pointsNeeded(kind)) {
      const item = { kind, points: this.points };
      this.stopKeyboard();
      draw(item, pane);
      pane.redrawMeasurements();
      this.changed({ annotation: { metadata: { referencedImageId: imageIdOf(pane.image.id) } } });
      this.say(this.texts[kind] + " " + words(item, pane.about, this.texts).join(", "));
    } else {
      pane.showCursor([...this.points, pane.cursor]);
      this.say(this.texts.point_set.replace("{number}", this.points.length));
    }
    return true;
  }

  stopKeyboard() {
    const was = this.points.length > 0;
    this.points = [];
    for (const pane of this.panes()) {
      pane.cursor = null;
      pane.showCursor([]);
    }
    return was;
  }
}
