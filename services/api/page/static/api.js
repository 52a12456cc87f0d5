/** The API of the server that this page came from, and of no other. */

const KEY = "twofold.key";
const LONGEST_MS = 130_000; // somewhat more than the longest deadline that a search may have

/** What the API says when it refuses: its sentence, and the code that does not change. */
export class ApiError extends Error {
  constructor(status, { code = "unknown", message, details = {} }) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** The key for this tab, kept until it is closed; an empty text when there is none. */
export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Keep a key for this tab, or forget it when it is empty. */
export function keep(given) {
  if (given) sessionStorage.setItem(KEY, given);
  else sessionStorage.removeItem(KEY);
}

/** GET, with what is asked for as query parameters. */
export function get(path, parameters = {}, options = {}) {
  return send("GET", addressed(path, parameters), options);
}

/** POST with a JSON body; nothing changes on the way there. */
export function post(path, body, { parameters = {}, ...options } = {}) {
  return send("POST", addressed(path, parameters), {
    ...options,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

/** DELETE. */
export function remove(path, parameters = {}) {
  return send("DELETE", addressed(path, parameters));
}

/** The path of a document, or of what is below it. */
export function documentPath(id, tail = "") {
  return `documents/${encodeURIComponent(id)}${tail}`;
}

/** The path of a collection, or of what is below it. */
export function collectionPath(name, tail = "") {
  return `collections/${encodeURIComponent(name)}${tail}`;
}

/**
 * Upload files, and say how far it is.
 * `fetch` does not tell how much of a body has been sent, so this is the older interface. A large
 * upload may take as long as it goes on; the server ends one that hardly does.
 * @param {File[]} files
 * @param {object} fields Of the form, beside the files.
 * @param {(part: number) => void} onProgress From 0 to 1.
 */
export function upload(files, fields, onProgress) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const file of files) form.append("files", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "documents");
    for (const [name, value] of Object.entries(credentials()))
      request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.addEventListener("error", () => reject(away()));
    request.addEventListener("load", () => {
      const body = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300) resolve(body);
      else reject(refusal(request.status, body));
    });
    request.send(form);
  });
}

async function send(method, address, { signal, headers = {}, body, also = [] } = {}) {
  let response;
  try {
    response = await fetch(address, {
      method,
      body,
      signal: AbortSignal.any([AbortSignal.timeout(LONGEST_MS), ...(signal ? [signal] : [])]),
      headers: { ...headers, ...credentials() },
      cache: "no-store",
    });
  } catch (error) {
    throw error.name === "AbortError" ? error : away();
  }
  const answer = parsed(await response.text());
  if (response.ok || also.includes(response.status)) return answer;
  throw refusal(response.status, answer);
}

function credentials() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

function addressed(path, parameters) {
  const given = Object.entries(parameters).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((each) => each !== null && each !== undefined && each !== "")
      .map((each) => [name, each]),
  );
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function refusal(status, body) {
  const message = `The server answered with status ${status} and no reason.`;
  return new ApiError(status, body?.error ?? { message });
}

function away() {
  return new ApiError(0, {
    code: "away",
    message: "The server does not answer. Check that it is running, then try again.",
  });
}
