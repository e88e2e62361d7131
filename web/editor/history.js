// Undo and redo: a list of documents. Editing steps of the same kind on the same thing (typing, nudging) become one step.

/** @typedef {import("./document.js").Doc} Doc */

const LONGEST = 500;

export class History {
  /** @param {Doc} doc */
  constructor(doc) {
    this.doc = doc;
    /** @type {{doc: Doc, label: string}[]} */
    this.past = [];
    /** @type {{doc: Doc, label: string}[]} */
    this.future = [];
    this.merging = "";
  }

  /** Take the next document. Steps with the same non-empty `merge` key in a row are one. @param {Doc} doc @param {string} label
   * @param {string} merge */
  push(doc, label, merge = "") {
    if (doc === this.doc) return;
    if (!(merge && merge === this.merging && this.past.length)) {
      this.past.push({ doc: this.doc, label });
      if (this.past.length > LONGEST) this.past.shift();
    }
    this.merging = merge;
    this.future = [];
    this.doc = doc;
  }

  /** End a merged step. */
  settle() {
    this.merging = "";
  }

  /** @returns {string | null} the label of what was undone */
  undo() {
    const step = this.past.pop();
    if (!step) return null;
    this.future.push({ doc: this.doc, label: step.label });
    this.doc = step.doc;
    this.merging = "";
    return step.label;
  }

  /** @returns {string | null} */
  redo() {
    const step = this.future.pop();
    if (!step) return null;
    this.past.push({ doc: this.doc, label: step.label });
    this.doc = step.doc;
    this.merging = "";
    return step.label;
  }
}
