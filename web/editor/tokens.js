// About how many tokens CLIP's tokenizer makes of a text: its words are exact, the pieces of long words are estimated (the vocabulary is
// larger than the whole page).

const WORDS = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/giu;
const LONGEST_WORD = 11;
const PIECE = 5;

/** @param {string} text */
export function countTokens(text) {
  const plain = text.replace(/\\([()])|[()]|:\s*[\d.]+(?=\s*\))/g, "$1"); // weights are not read as words
  let count = 0;
  for (const [word] of plain.matchAll(WORDS)) count += word.length <= LONGEST_WORD ? 1 : Math.ceil(word.length / PIECE);
  return count;
}
