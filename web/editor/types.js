// Types of sockets: which output fits which input, and how a type looks.

const COLOURS = new Map([
  ["MODEL", "#b39ddb"],
  ["CLIP", "#ffd500"],
  ["VAE", "#ff6e6e"],
  ["CONDITIONING", "#ffa931"],
  ["LATENT", "#ff9cf9"],
  ["IMAGE", "#64b5f6"],
  ["MASK", "#81c784"],
  ["CONTROL_NET", "#6ee7b7"],
  ["CLIP_VISION", "#a8dadc"],
  ["CLIP_VISION_OUTPUT", "#ad7452"],
  ["STYLE_MODEL", "#c2ffae"],
  ["NOISE", "#b0b0b0"],
  ["GUIDER", "#66ffff"],
  ["SAMPLER", "#ecb4b4"],
  ["SIGMAS", "#cdffcd"],
  ["LORA_MODEL", "#e0a3ff"],
  ["DATASET", "#d4c17a"],
  ["INT", "#7fb7d6"],
  ["FLOAT", "#8fd19e"],
  ["STRING", "#c9d1a0"],
  ["BOOLEAN", "#e08f8f"],
  ["COMBO", "#b8b0d8"],
  ["LOOP", "#9aa7ff"],
  ["*", "#99aa99"],
]);

const LITERALS = new Set(["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"]);

/** Kinds of values get shapes too, for eyes that do not tell the colours apart. @typedef {"circle" | "square" | "diamond" | "triangle" | "ring"} Shape */

/** @param {string} type @returns {string} */
export function colourOf(type) {
  const first = type.split(",")[0];
  if (first.startsWith("$")) return /** @type {string} */ (COLOURS.get("*"));
  const known = COLOURS.get(first);
  if (known) return known;
  let hash = 0;
  for (const letter of first) hash = (hash * 31 + letter.charCodeAt(0)) % 360;
  return `hsl(${hash} 55% 68%)`;
}

/** @param {string} type @returns {Shape} */
export function shapeOf(type) {
  const first = type.split(",")[0];
  if (first === "*" || first.startsWith("$")) return "ring";
  if (["IMAGE", "MASK", "LATENT"].includes(first)) return "square";
  if (["CONDITIONING", "STRING"].includes(first)) return "diamond";
  if (LITERALS.has(first)) return "triangle";
  return "circle";
}

/** @param {string} type */
export const isLiteral = (type) => type.split(",").some((name) => LITERALS.has(name));

/** @param {string} type */
const isOpen = (type) => type === "*" || type.startsWith("$");

/** Whether a value of the output's type may go into the input: the rule of the engine (docs/workflow_format.md). A type variable ($T) takes
 * any type. @param {string} output @param {string} input */
export function fits(output, input) {
  if (isOpen(output) || isOpen(input)) return true;
  const given = output.split(",").map((name) => name.trim());
  const wanted = input.split(",").map((name) => name.trim());
  return wanted.includes("*") || given.some((name) => wanted.includes(name)) || (given.includes("INT") && wanted.includes("FLOAT"));
}
