// What the browser keeps for this page between two loads. Other pages of this address and people's tools write there too: whoever reads
// checks what it is.

/** What is kept under a key; null for nothing and for what is no JSON. @param {Storage} storage @param {string} key @returns {any} */
export function recall(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? "null");
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** An object that is kept under a key; empty for anything else. @param {Storage} storage @param {string} key @returns {Record<string, any>} */
export function recallObject(storage, key) {
  const kept = recall(storage, key);
  return kept && typeof kept === "object" && !Array.isArray(kept) ? kept : {};
}

/** The texts in a value that should be a list of texts. @param {any} value @returns {string[]} */
export const texts = (value) => (Array.isArray(value) ? value.filter((item) => typeof item === "string") : []);
