// The window onto the canvas: world = (screen - offset) / scale.

const CLOSEST = 4;
const FARTHEST = 0.04;

export class View {
  constructor() {
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    this.width = 1;
    this.height = 1;
    /** Nobody moved the view since all was fitted into it: it is fitted again when its size changes. */
    this.fitted = false;
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toWorld(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toScreen(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  /** @param {number} factor @param {number} x screen point that stays where it is @param {number} y */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    this.fitted = false;
    const scale = Math.min(CLOSEST, Math.max(FARTHEST, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
  }

  /** @param {{x: number, y: number, w: number, h: number} | null} box */
  fit(box) {
    this.fitted = true;
    if (!box) {
      [this.x, this.y, this.scale] = [this.width / 2, this.height / 2, 1];
      return;
    }
    const margin = Math.min(50, this.width / 12);
    const width = Math.max(50, this.width - 2 * margin);
    const scale = Math.min(1, width / box.w, Math.max(50, this.height - 2 * margin - 40) / box.h);
    this.scale = Math.max(FARTHEST, scale);
    this.x = margin + (width - box.w * this.scale) / 2 - box.x * this.scale;
    this.y = (this.height - box.h * this.scale) / 2 - box.y * this.scale;
  }

  /** @param {number} x @param {number} y centre on a point of the world */
  centre(x, y) {
    this.fitted = false;
    this.x = this.width / 2 - x * this.scale;
    this.y = this.height / 2 - y * this.scale;
  }
}
