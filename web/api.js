// The server, as this page needs it. Every path is relative, so that a proxy may put the page anywhere.

export class Refused extends Error {
  // problems: [{message, hint, node_id, input}]
  constructor(error) {
    super(error.message);
    this.problems = error.details?.problems ?? [{ message: error.message, hint: error.hint }];
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(`api/v1/${path}`, options);
  } catch {
    throw new Refused({ message: "The server does not answer.", hint: "Is it still running?" });
  }
  const text = await response.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = null;
  }
  if (!response.ok) throw new Refused(data?.error ?? { message: `The server answered ${response.status}.`, hint: "" });
  return data;
}

const named = (name) => name.split("/").map(encodeURIComponent).join("/");

export const workflows = async () => (await request("workflows")).workflows;
export const workflow = (name) => request(`workflows/${named(name)}`);
export const catalogue = () => request("nodes");
export const version = () => request("version");
export const job = (id) => request(`jobs/${encodeURIComponent(id)}`);
export const jobs = async (query) => (await request(`jobs?${new URLSearchParams(query)}`)).jobs;
export const cancel = (id) => request(`jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
export const submit = (document) => request("jobs", { method: "POST", body: JSON.stringify({ workflow: document }) });
export const files = async (root) => (await request(`files/${root}`)).files;
export const upload = (file) => request(`files/input/${encodeURIComponent(file.name)}`, { method: "PUT", body: file });

export function fileUrl(record, preview = "") {
  const query = new URLSearchParams({ filename: record.filename, subfolder: record.subfolder ?? "", type: record.type ?? "output" });
  if (preview) query.set("preview", preview);
  return `view?${query}`;
}

// Calls `heard` with each event until the job is over; the browser takes the stream up again by itself when it breaks.
export function listen(id, heard, over) {
  const source = new EventSource(`api/v1/jobs/${encodeURIComponent(id)}/events`);
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    heard(event);
    if (event.type === "job_finished" || (event.type === "job_interrupted" && event.state === "parked")) {
      source.close();
      over();
    }
  };
  return () => source.close();
}
