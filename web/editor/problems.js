// Problems of a document by the node that they are about.

/** The engine's message begins with the node and the input; where these are seen anyway, they are left out. @param {string} message */
export const inPlace = (message) => message.replace(/^Node '[^\n]{0,1100}?' \([^)]*\)(, input '[^']*')?: /, "");

/** Of a node in a subgraph, by every instance around it too. @param {import("./api.js").Problem[]} problems
 * @returns {Map<string, (import("./api.js").Problem & {input?: string})[]>} */
export function byNode(problems) {
  /** @type {Map<string, any[]>} */
  const found = new Map();
  for (const problem of problems) {
    if (!problem.node_id) continue;
    const flat = { ...problem, message: inPlace(problem.message), input: problem.input ?? problem.details?.input_name };
    const parts = problem.node_id.split(":");
    for (const id of parts.map((_, at) => parts.slice(0, at + 1).join(":"))) found.set(id, [...(found.get(id) ?? []), flat]);
  }
  return found;
}
