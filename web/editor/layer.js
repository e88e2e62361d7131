// Pixels that stay while the view moves. They reach somewhat beyond what is seen: a frame of panning copies them, and only now and then a
// strip is drawn that will come in next. So panning costs about the same however large the graph is.

/** @typedef {{x: number, y: number, w: number, h: number}} Area in pixels of the canvas */
/** @typedef {{scale: number, x: number, y: number}} Shift where the world's pixels are: world * scale + x, y; whole numbers */
/** @typedef {CanvasRenderingContext2D} Canvas */

/** How far the pixels may reach beyond what is seen, on each side. */
const MARGIN = 128;
/** How much is drawn at once of what comes in. */
const STRIP = 64;

/** A canvas that is not shown. */
function hidden() {
  const canvas = document.createElement("canvas");
  return { canvas, context: /** @type {Canvas} */ (canvas.getContext("2d", { alpha: false })) };
}

export class Layer {
  constructor() {
    this.shown = hidden();
    /** Where the pixels go when they run out of room: a canvas that is drawn on itself is copied first, which takes longer than all else. */
    this.spare = hidden();
    /** @type {Shift} */
    this.at = { scale: 0, x: 0, y: 0 };
    /** Which pixels are drawn. */
    this.drawn = { left: 0, top: 0, right: 0, bottom: 0 };
  }

  /** Forget all pixels. */
  clear() {
    this.at.scale = 0;
  }

  /** See to it that there is room for all that is seen. @param {number} w @param {number} h @param {Shift} view @returns {Area[]} what must be drawn */
  move(w, h, view) {
    const { at, drawn } = this;
    const { width, height } = this.shown.canvas;
    const fits = at.scale === view.scale && width === w + 2 * MARGIN && height === h + 2 * MARGIN;
    let [x, y] = [at.x - view.x, at.y - view.y]; // of what is seen
    if (fits && (x < 0 || y < 0 || x + w > width || y + h > height)) {
      this.shift(MARGIN - x, MARGIN - y);
      [x, y] = [MARGIN, MARGIN];
    }
    if (!fits || drawn.left >= drawn.right || drawn.top >= drawn.bottom) {
      resize(this.shown.canvas, w + 2 * MARGIN, h + 2 * MARGIN);
      this.at = { scale: view.scale, x: view.x + MARGIN, y: view.y + MARGIN };
      this.drawn = { left: MARGIN, top: MARGIN, right: MARGIN + w, bottom: MARGIN + h };
      return [{ x: MARGIN, y: MARGIN, w, h }];
    }
    return this.grow(x, y, x + w, y + h);
  }

  /** Draw also what is seen. @param {number} left @param {number} top @param {number} right @param {number} bottom @returns {Area[]} */
  grow(left, top, right, bottom) {
    const { drawn } = this;
    const { width, height } = this.shown.canvas;
    const areas = [];
    const before = { ...drawn };
    if (left < drawn.left) drawn.left = Math.max(0, left - STRIP);
    if (right > drawn.right) drawn.right = Math.min(width, right + STRIP);
    if (drawn.left < before.left) areas.push({ x: drawn.left, y: before.top, w: before.left - drawn.left, h: before.bottom - before.top });
    if (drawn.right > before.right) areas.push({ x: before.right, y: before.top, w: drawn.right - before.right, h: before.bottom - before.top });
    if (top < drawn.top) drawn.top = Math.max(0, top - STRIP);
    if (bottom > drawn.bottom) drawn.bottom = Math.min(height, bottom + STRIP);
    const w = drawn.right - drawn.left;
    if (drawn.top < before.top) areas.push({ x: drawn.left, y: drawn.top, w, h: before.top - drawn.top });
    if (drawn.bottom > before.bottom) areas.push({ x: drawn.left, y: before.bottom, w, h: drawn.bottom - before.bottom });
    return areas;
  }

  /** @param {number} dx @param {number} dy */
  shift(dx, dy) {
    const { at, drawn, shown, spare } = this;
    const { width, height } = shown.canvas;
    resize(spare.canvas, width, height);
    spare.context.setTransform(1, 0, 0, 1, 0, 0);
    spare.context.drawImage(shown.canvas, dx, dy);
    [this.shown, this.spare] = [spare, shown];
    this.at = { ...at, x: at.x + dx, y: at.y + dy };
    Object.assign(drawn, { left: Math.max(0, drawn.left + dx), top: Math.max(0, drawn.top + dy), right: Math.min(width, drawn.right + dx), bottom: Math.min(height, drawn.bottom + dy) });
  }

  /** The drawn pixels that a part of the world covers. @param {{left: number, top: number, right: number, bottom: number}} part @returns {Area} */
  areaOf(part) {
    const { at, drawn } = this;
    const left = Math.max(drawn.left, Math.floor(part.left * at.scale + at.x));
    const top = Math.max(drawn.top, Math.floor(part.top * at.scale + at.y));
    const right = Math.min(drawn.right, Math.ceil(part.right * at.scale + at.x));
    const bottom = Math.min(drawn.bottom, Math.ceil(part.bottom * at.scale + at.y));
    return { x: left, y: top, w: Math.max(0, right - left), h: Math.max(0, bottom - top) };
  }

  /** Draw a part; nothing outside of it changes. @param {Area} area @param {(c: Canvas) => void} draw */
  paint({ x, y, w, h }, draw) {
    const c = this.shown.context;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.save();
    c.beginPath();
    c.rect(x, y, w, h);
    c.clip();
    draw(c);
    c.restore();
  }

  /** Put what is seen on a canvas. @param {Canvas} c @param {Shift} view */
  show(c, view) {
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(this.shown.canvas, view.x - this.at.x, view.y - this.at.y);
  }
}

/** @param {HTMLCanvasElement} canvas @param {number} w @param {number} h */
function resize(canvas, w, h) {
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
}
