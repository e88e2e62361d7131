// What parts of the page tell each other. `on` gives back the function that stops listening.

/** @typedef {{job?: string, node?: string, id?: string}} LogPlace what the log is opened for: a job, a node, a failure by its log id */
/**
 * @typedef {object} Told
 * @property {null} document the document changed: an edit, an undo, or another file
 * @property {null} opened another file was opened
 * @property {null} entered a subgraph was opened or left
 * @property {null} selection the chosen nodes changed
 * @property {import("./runs.js").Run | null} run what is known of the followed job changed (progress, previews, state)
 * @property {null} jobs a job was queued or is over: lists of jobs and of results are out of date
 * @property {null} saved the document was saved, or is told from the saved one anew
 * @property {null} files files of input or models changed
 * @property {null} catalogue the installed nodes or model files were read again
 * @property {null} theme
 * @property {import("./settings.js").Name} settings what was set to something else
 * @property {string} refused why a link was not made
 * @property {{node: string, source: string}} picture a picture on a node was clicked
 * @property {LogPlace} log somebody wants to read what the log says
 * @property {string} copy a text for the clipboard
 * @property {{ready: boolean, text: string}} server whether it answers and its worker is up
 */

export class Events {
  constructor() {
    /** @type {Map<string, Set<(detail: any) => void>>} */
    this.listeners = new Map();
  }

  /** @template {keyof Told} Name @param {Name} name @param {(detail: Told[Name]) => void} listener @returns {() => void} */
  on(name, listener) {
    const all = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, all.add(listener));
    return () => void all.delete(listener);
  }

  /** @template {keyof Told} Name @param {Name} name @param {Told[Name]} detail */
  emit(name, detail) {
    for (const listener of [...(this.listeners.get(name) ?? [])]) listener(detail);
  }
}
