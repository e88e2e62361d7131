// What a person may type into a number: 512*2, (3+1)/2, 2^10, 1e-4. Whole numbers are computed exactly (BigInt), so that a seed of
// 2^64-1 stays one. A reader of its own, because nothing that comes from a person or a file is ever run as code.

const TOKEN = /\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(\*\*|[-+*/%^()]))/y;

/** @param {string} text @returns {number | bigint | null} null when it is not arithmetic */
export function evaluate(text) {
  /** @type {string[]} */
  const tokens = [];
  const trimmed = text.trim().replaceAll(",", ".");
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const found = TOKEN.exec(trimmed);
    if (!found) return null;
    tokens.push(found[1] ?? (found[2] === "**" ? "^" : found[2]));
  }
  let at = 0;
  /** @returns {number | bigint} */
  const sum = () => {
    let left = product();
    while (tokens[at] === "+" || tokens[at] === "-") left = apply(tokens[at++], left, product());
    return left;
  };
  const product = () => {
    let left = sign();
    while (tokens[at] === "*" || tokens[at] === "/" || tokens[at] === "%") left = apply(tokens[at++], left, sign());
    return left;
  };
  /** @returns {number | bigint} */
  const sign = () => {
    if (tokens[at] === "-") {
      at += 1;
      return negate(sign());
    }
    if (tokens[at] === "+") {
      at += 1;
      return sign();
    }
    return power();
  };
  /** @returns {number | bigint} */
  const power = () => {
    const base = atom();
    if (tokens[at] !== "^") return base;
    at += 1;
    return apply("^", base, sign());
  };
  const atom = () => {
    const token = tokens[at++];
    if (token === "(") {
      const inner = sum();
      if (tokens[at++] !== ")") throw new SyntaxError();
      return inner;
    }
    if (token === undefined || !/^[\d.]/.test(token)) throw new SyntaxError();
    return /^\d+$/.test(token) ? BigInt(token) : Number(token);
  };
  try {
    const value = sum();
    if (at < tokens.length || (typeof value === "number" && !Number.isFinite(value))) return null;
    return value;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return null;
    throw error;
  }
}

/** @param {number | bigint} value */
const negate = (value) => (typeof value === "bigint" ? -value : -value);

/** @param {string} sign @param {number | bigint} left @param {number | bigint} right @returns {number | bigint} */
function apply(sign, left, right) {
  if (typeof left === "bigint" && typeof right === "bigint") {
    if (sign === "+") return left + right;
    if (sign === "-") return left - right;
    if (sign === "*") return left * right;
    if (sign === "%" && right !== 0n) return left % right;
    if (sign === "/" && right !== 0n && left % right === 0n) return left / right;
    if (sign === "^" && right >= 0n && right <= 256n) return left ** right;
  }
  const [a, b] = [Number(left), Number(right)];
  if (sign === "+") return a + b;
  if (sign === "-") return a - b;
  if (sign === "*") return a * b;
  if (sign === "/") return a / b;
  if (sign === "%") return a % b;
  return a ** b;
}
