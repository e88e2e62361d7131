// The workflow in a PNG: chunks tEXt and iTXt (PNG specification, 11.3.3), under the keys that Easel and ComfyUI write.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const KEYS = ["easel", "workflow", "prompt"];

/** The text of the best of these keys, null when there is none. @param {Uint8Array} bytes @returns {string | Promise<string> | null} */
export function textOfPicture(bytes) {
  if (!SIGNATURE.every((byte, at) => bytes[at] === byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Map<string, string | Promise<string>>} */
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
  for (const key of KEYS) if (found.has(key)) return found.get(key) ?? null;
  return null;
}

/** @param {Uint8Array} bytes */
const latin = (bytes) => new TextDecoder("latin1").decode(bytes);

/** @param {Uint8Array} data @returns {[string, string]} */
function plain(data) {
  const end = data.indexOf(0);
  const value = data.subarray(end + 1);
  try {
    return [latin(data.subarray(0, end)), new TextDecoder("utf-8", { fatal: true }).decode(value)];
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return [latin(data.subarray(0, end)), latin(value)];
  }
}

/** @param {Uint8Array} data @returns {[string, string | Promise<string>]} */
function international(data) {
  const end = data.indexOf(0);
  const packed = data[end + 1] === 1;
  const language = data.indexOf(0, end + 3);
  const value = data.subarray(data.indexOf(0, language + 1) + 1);
  const key = latin(data.subarray(0, end));
  if (!packed) return [key, new TextDecoder().decode(value)];
  const stream = new Blob([/** @type {any} */ (value)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return [key, new Response(stream).text()];
}
