/** Conditions on metadata: rows that anybody can fill in, and the JSON that they become. */

import { button, byId, el, fill, show } from "./dom.js";

/** What can be asked of a key, and whether it takes a value. */
export const OPERATORS = [
  ["eq", "is"],
  ["in", "is one of"],
  ["gte", "is at least"],
  ["lte", "is at most"],
  ["gt", "is more than"],
  ["lt", "is less than"],
  ["contains", "contains"],
  ["prefix", "begins with"],
  ["exists", "is there"],
  ["missing", "is not there"],
];

const TEXTUAL = new Set(["contains", "prefix"]);

/** What was typed, as the value that is meant: a number, yes or no, or a text (quotes force one). */
export function valueOf(typed) {
  const text = typed.trim();
  if (text === "true" || text === "false") return text === "true";
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return /^".*"$/.test(text) ? text.slice(1, -1) : text;
}

/** A value as one would type it. */
export function typedOf(value) {
  if (Array.isArray(value)) return value.map(typedOf).join(", ");
  if (typeof value !== "string") return String(value);
  return valueOf(value) === value ? value : `"${value}"`;
}

/** The filter of rows that are filled in; null when none is. */
export function filterOf(rows, joined) {
  const conditions = rows
    .filter((row) => row.key.trim() && (valueless(row) || row.value.trim()))
    .map(conditionOf);
  if (conditions.length < 2) return conditions[0] ?? null;
  return { [joined]: conditions };
}

/** The rows of a filter; null when it is more than rows can say. */
export function rowsOf(filter) {
  if (filter === null) return { joined: "and", rows: [] };
  const joined = "or" in filter ? "or" : "and";
  const rows = (filter[joined] ?? [filter]).map(rowOf);
  return rows.every(Boolean) ? { joined, rows } : null;
}

function conditionOf({ key, operator, value }) {
  switch (operator) {
    case "exists":
    case "missing":
      return { key, exists: operator === "exists" };
    case "in":
      return { key, in: listOf(value) };
    default:
      return { key, [operator]: TEXTUAL.has(operator) ? value.trim() : valueOf(value) };
  }
}

/** The API takes a list of one kind: numbers where all are whole ones, else texts. */
function listOf(typed) {
  const values = typed
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean);
  return values.every((each) => /^-?\d+$/.test(each))
    ? values.map(Number)
    : values.map((each) => String(valueOf(each)));
}

function rowOf(condition) {
  const { key, ...asked } = condition ?? {};
  const [[operator, value] = [], ...more] = Object.entries(asked);
  if (typeof key !== "string" || !operator || more.length) return null;
  if (operator === "exists") return { key, operator: value ? "exists" : "missing", value: "" };
  if (!OPERATORS.some(([name]) => name === operator)) return null;
  return { key, operator, value: TEXTUAL.has(operator) ? value : typedOf(value) };
}

function valueless({ operator }) {
  return operator === "exists" || operator === "missing";
}

/** The editor of the page's filter. */
export class Filters {
  #rows = [];

  /** @param {(json: string) => void} onChange With the filter as JSON, or an empty text. */
  constructor(onChange) {
    this.onChange = onChange;
    byId("filter-add").addEventListener("click", () => {
      this.#rows.push({ key: "", operator: "eq", value: "" });
      this.#draw();
      byId("filter-rows").lastElementChild.querySelector("input").focus();
    });
    byId("filter-joined").addEventListener("change", () => this.#changed());
    byId("filter-json").addEventListener("change", (event) => this.onChange(event.target.value));
  }

  /** Show the filter of an address. What is no JSON, or says more than rows can, stays JSON. */
  set(json) {
    byId("filter-json").value = json;
    const read = rowsFrom(json);
    show(byId("filter-builder"), read !== null);
    show(byId("filter-raw-only"), read === null);
    if (read === null) byId("filters").open = byId("filter-raw").open = true;
    else if (
      JSON.stringify(filterOf(this.#rows, byId("filter-joined").value)) !==
      JSON.stringify(filterOf(read.rows, read.joined))
    ) {
      this.#rows = read.rows;
      byId("filter-joined").value = read.joined;
      this.#draw();
    }
  }

  /** Keys that documents have, to choose from. */
  offer(keys) {
    const known = new Set([...byId("filter-keys").options].map((option) => option.value));
    for (const each of keys) known.add(each);
    fill(
      byId("filter-keys"),
      [...known].sort().map((value) => el("option", { value })),
    );
  }

  #changed() {
    const filter = filterOf(this.#rows, byId("filter-joined").value);
    this.onChange(filter ? JSON.stringify(filter) : "");
  }

  #draw() {
    show(byId("filter-join"), this.#rows.length > 1);
    fill(
      byId("filter-rows"),
      this.#rows.map((row, index) => this.#row(row, index)),
    );
  }

  #row(row, index) {
    const changed = (name) => (event) => {
      row[name] = event.target.value;
      value.hidden = valueless(row);
      this.#changed();
    };
    const number = index + 1;
    const value = el("input", {
      "aria-label": `Value ${number}`,
      placeholder: "value",
      value: row.value,
      hidden: valueless(row),
      on: { change: changed("value") },
    });
    return el(
      "li",
      {},
      el("input", {
        "aria-label": `Key ${number}`,
        list: "filter-keys",
        placeholder: "key",
        value: row.key,
        autocomplete: "off",
        on: { change: changed("key") },
      }),
      el(
        "select",
        { "aria-label": `Comparison ${number}`, on: { change: changed("operator") } },
        OPERATORS.map(([name, label]) =>
          el("option", { value: name, selected: name === row.operator }, label),
        ),
      ),
      value,
      button(
        "×",
        () => {
          this.#rows.splice(index, 1);
          this.#draw();
          this.#changed();
          byId("filter-add").focus();
        },
        { class: "icon", "aria-label": `Remove condition ${number}` },
      ),
    );
  }
}

function rowsFrom(json) {
  try {
    return rowsOf(json.trim() ? JSON.parse(json) : null);
  } catch {
    return null;
  }
}
