// Every word that a person sees stands in web/editor/words.js, as far as the source can tell.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import ts from "typescript";

import { counted, t, WORDS } from "../../web/editor/words.js";

const WEB = new URL("../../web/", import.meta.url);
const SHOWN = new Set(["textContent", "title", "placeholder", "label", "alt", "hint", "message", "innerText", "aria-label", "aria-description"]);
const SAY = new Set(["say", "ask", "askText", "openDialog", "confirmed", "dialog", "button", "Option", "NotAWorkflow", "iconButton", "fillText"]);
/** What these are given is never shown: names of undo steps, selectors, classes. */
const SILENT = new Set(["edit", "editRoot", "set", "place", "querySelector", "querySelectorAll", "matches", "closest", "warn"]);

/** Keys of the table, names of attributes, addresses. */
const NAME = /^[\w./\u0000-]*$/;
const LETTERS = /[A-Za-z]{2,}/;
const SENTENCE = /[A-Za-z]{2,},? [A-Za-z]{2,}/;
/** Names of fonts, of elements, and an example of a trigger that is the same in every language. */
const NO_WORDS = new Set(["system-ui, sans-serif", "input, textarea, select, [contenteditable]", "sks shape", "\u0000 - Easel"]);

function sources() {
  return ["editor", "panels"].flatMap((folder) => readdirSync(new URL(`${folder}/`, WEB)).filter((name) => name.endsWith(".js") && name !== "words.js").map((name) => {
    const text = readFileSync(new URL(`${folder}/${name}`, WEB), "utf8");
    return { name: `${folder}/${name}`, text, tree: ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS) };
  }));
}

const nameOf = (node) => (node && (ts.isIdentifier(node) || ts.isStringLiteral(node)) ? node.text : node && ts.isPropertyAccessExpression(node) ? node.name.text : "");

/** The texts in a literal. */
const textOf = (node) => (ts.isTemplateExpression(node) ? [node.head, ...node.templateSpans.map((span) => span.literal)].map((part) => part.text).join("\u0000") : node.text);

/** Whether an expression is what a person reads: alone, or one of the ways a condition goes. */
function meaning(node) {
  let [child, parent] = [node, node.parent];
  while (ts.isConditionalExpression(parent) ? parent.condition !== child : ts.isParenthesizedExpression(parent) || (ts.isBinaryExpression(parent) && ["+", "??", "||"].includes(parent.operatorToken.getText()))) [child, parent] = [parent, parent.parent];
  if (ts.isPropertyAssignment(parent)) return SHOWN.has(nameOf(parent.name));
  if (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) return SHOWN.has(nameOf(parent.left));
  if (!ts.isCallExpression(parent) && !ts.isNewExpression(parent)) return false;
  const called = nameOf(parent.expression);
  const at = (parent.arguments ?? []).indexOf(child);
  if (called === "el") return at > 1;
  if (called === "setAttribute") return SHOWN.has(nameOf(parent.arguments[0])) && at === 1;
  if (called === "Option") return at === 0;
  if (called === "iconButton") return at === 1;
  return SAY.has(called) && at >= 0 && !["error", "info"].includes(child.text);
}

/** Inside what is never shown: a call of SILENT, a class, a drawing's font or path, an import. */
function silent(node) {
  for (let [child, at] = [node, node.parent]; at; [child, at] = [at, at.parent]) {
    if (ts.isImportDeclaration(at)) return true;
    if (ts.isCallExpression(at) && at.expression !== child && SILENT.has(nameOf(at.expression))) return true;
    if (ts.isPropertyAssignment(at) && ["class", "className", "d", "viewBox", "font", "accept"].includes(nameOf(at.name))) return true;
    if (ts.isBinaryExpression(at) && ["className", "font"].includes(nameOf(at.left))) return true;
    if (ts.isCallExpression(at) && nameOf(at.expression) === "setAttribute" && !SHOWN.has(nameOf(at.arguments[0]))) return true;
    if (ts.isFunctionLike(at)) return false;
  }
  return false;
}

test("no word that a person sees stands outside the table", () => {
  const found = [];
  for (const { name, tree } of sources()) {
    const look = (node) => {
      if ((ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateExpression(node)) && !silent(node)) {
        const text = textOf(node);
        const read = meaning(node) && LETTERS.test(text) && (!NAME.test(text) || /^[A-Z]/.test(text));
        if ((read || SENTENCE.test(text)) && !NO_WORDS.has(text)) found.push(`${name}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${JSON.stringify(text)}`);
      }
      ts.forEachChild(node, look);
    };
    look(tree);
  }
  assert.deepEqual(found, []);
  const page = readFileSync(new URL("index.html", WEB), "utf8").replace(/<noscript>.*<\/noscript>/s, "").replace(/<title>.*<\/title>/s, "");
  const visible = page.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim();
  assert.equal(visible, "Easel", "index.html says which word stands where");
  assert.deepEqual([...page.matchAll(/(?:aria-label|title|placeholder|alt)="([^"]+)"/g)].map((match) => match[1]), []);
});

test("no key of the table stands twice", () => {
  const keys = [];
  const look = (node) => {
    if (ts.isPropertyAssignment(node) && ts.isStringLiteral(node.name)) keys.push(node.name.text);
    ts.forEachChild(node, look);
  };
  look(ts.createSourceFile("words.js", readFileSync(new URL("editor/words.js", WEB), "utf8"), ts.ScriptTarget.Latest));
  assert.ok(keys.length > 300);
  assert.deepEqual(keys.filter((key, at) => keys.indexOf(key) !== at), []);
});

test("every word of the table is used", () => {
  const all = sources().map((source) => source.text).join("\n") + readFileSync(new URL("index.html", WEB), "utf8");
  const begins = [...all.matchAll(/`([a-z.-]+\.)\$\{/g)].map((match) => match[1]);
  const unused = Object.keys(WORDS).filter((key) => {
    const stem = key.replace(/\.(one|other)$/, "");
    return !all.includes(`"${key}"`) && !all.includes(`"${stem}"`) && !begins.some((begin) => key.startsWith(begin));
  });
  assert.deepEqual(unused, []);
});

test("what stands for a name is filled in, and the count chooses", () => {
  assert.equal(t("link.misfit", { given: "IMAGE", input: "clip", wanted: "CLIP" }), "IMAGE does not fit clip (CLIP)");
  assert.equal(t("link.not-made", { why: "{given} <b>" }), "The link was not made: {given} <b>.");
  assert.deepEqual([0, 1, 2].map((count) => counted("node.pictures", count)), ["0 pictures", "1 picture", "2 pictures"]);
});
