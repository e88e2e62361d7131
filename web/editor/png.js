// The workflow in a PNG: chunks tEXt and iTXt (PNG specification, 11.3.3), under the keys that Easel and ComfyUI write.

import { t } from "./words.js";
import { NotAWorkflow } from "./workflow_file.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const KEYS = ["easel", "workflow", "prompt"];
/** Bytes of a text that was packed. A small file can hold one that no memory does. */
const LARGEST = 100_000_000;

/** The text of the best of these keys, null when there is none. Only that one is unpacked. @param {Uint8Array} bytes @returns {string | Promise<string> | null} */
export function textOfPicture(bytes) {
  if (!SIGNATURE.every((byte, at) => bytes[at] === byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Map<string, () => string | Promise<string>>} */
  const found = new Map();
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) break;
    const type = latin(bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === "tEXt" || type === "iTXt") {
      const [key, text] = type === "tEXt" ? plain(data) : international(data);
      if (KEYS.includes(key) && !found.has(key)) found.set(key, text);
    }
    if (type === "IEND") break;
    at += 12 + length;
  }
  const best = KEYS.map((key) => found.get(key)).find(Boolean);
  return best ? best() : null;
}

/** @param {Uint8Array} bytes */
const latin = (bytes) => new TextDecoder("latin1").decode(bytes);

/** @param {Uint8Array} data @returns {[string, () => string]} */
function plain(data) {
  const end = data.indexOf(0);
  return [latin(data.subarray(0, end)), () => textOf(data.subarray(end + 1))];
}

/** UTF-8, as programs write it there, or Latin-1, as the specification has it. @param {Uint8Array} value */
function textOf(value) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return latin(value);
  }
}

/** @param {Uint8Array} data @returns {[string, () => string | Promise<string>]} */
function international(data) {
  const end = data.indexOf(0);
  const packed = data[end + 1] === 1;
  const language = data.indexOf(0, end + 3);
  const value = data.subarray(data.indexOf(0, language + 1) + 1);
  const key = latin(data.subarray(0, end));
  return [key, () => (packed ? unpacked(value) : new TextDecoder().decode(value))];
}

/** @param {Uint8Array} value @returns {Promise<string>} */
async function unpacked(value) {
  const stream = new Blob([/** @type {any} */ (value)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  const next = () => reader.read().catch(() => {
    throw new NotAWorkflow(t("file.damaged"));
  });
  const parts = [];
  for (let size = 0, step = await next(); !step.done; step = await next()) {
    size += step.value.length;
    parts.push(/** @type {any} */ (step.value));
    if (size <= LARGEST) continue;
    await reader.cancel();
    throw new NotAWorkflow(t("file.text-too-large"));
  }
  return new Blob(parts).text();
}
