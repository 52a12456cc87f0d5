/** The search view: a question, its results, and what each stage did for them. */

import { OPTIONS, DEFAULTS, requestOf, searchKey } from "./address.js";
import { get, post } from "./api.js";
import { byId, el, fill, say, show, trouble } from "./dom.js";
import { nothingFound, nothingYet, welcome } from "./empty.js";
import { Filters } from "./filters.js";
import { Judgements, download, refresh } from "./judgements.js";
import { picture } from "./moves.js";
import { headline, report } from "./report.js";
import { cards } from "./results.js";

const NARROW = matchMedia("(max-width: 64rem)");

/** @param {{go: Function, refused: Function}} page */
export class SearchView {
  #key = "";
  #state = DEFAULTS;
  #results = [];
  #request = null;
  #cursor = null;
  #running = null;

  constructor(page) {
    this.page = page;
    this.filters = new Filters((filter) => page.go({ filter }));
    byId("report-details").open = !NARROW.matches;
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#key = "";
      page.go({
        q: byId("query").value.trim(),
        ...this.#options(),
        document: "",
        start: "",
        end: "",
      });
    });
    byId("options-form").addEventListener("submit", (event) => event.preventDefault());
    byId("options-form").addEventListener("change", () => page.go(this.#options()));
    byId("options-reset").addEventListener("click", () =>
      page.go(Object.fromEntries(OPTIONS.map((name) => [name, DEFAULTS[name]]))),
    );
    byId("more").addEventListener("click", () => this.#more());
    byId("judged-export").addEventListener("click", () =>
      download(this.#judgements(), this.#state.collection),
    );
    byId("judged-clear").addEventListener("click", () => {
      this.#judgements().clear();
      refresh(this.#judgements(), this.#state.q);
    });
    byId("results").addEventListener("focusin", (event) => light(event.target.closest(".card")));
    byId("results").addEventListener("pointerover", (event) =>
      light(event.target.closest(".card")),
    );
  }

  /** Show a state; search if it asks for something that is not shown already. */
  async show(state) {
    const previous = this.#state;
    this.#state = state;
    this.#controls(state);
    refresh(this.#judgements(), state.q);
    if (this.#key === searchKey(state)) return;
    this.#key = searchKey(state);
    if (previous.q !== state.q || !state.q) byId("query").value = state.q;
    this.#running?.abort();
    this.#running = new AbortController();
    if (state.q) await this.#search(state, this.#running);
    else await this.#idle(state, this.#running);
  }

  /** Search again, though nothing in the address has changed: the documents have, or the key. */
  forget() {
    this.#key = "";
  }

  /** The result that a document was opened from, if it is shown. */
  find({ document, start, end }) {
    const all = this.#results.flatMap((result) => [result, ...result.more]);
    return (
      all.find(
        (each) =>
          each.document_id === document && String(each.start) === start && String(each.end) === end,
      ) ?? null
    );
  }

  async #search(state, running) {
    document.body.classList.add("busy");
    try {
      this.#request = requestOf(state);
      const answer = await post("search", this.#request, { signal: running.signal });
      this.#draw(answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#clear();
      fill(
        byId("notice"),
        trouble(
          error instanceof SyntaxError
            ? new Error(`The filter is not valid JSON: ${error.message}`)
            : error,
        ),
      );
      this.page.refused(error);
    } finally {
      if (this.#running === running) document.body.classList.remove("busy");
    }
  }

  async #more() {
    byId("more").disabled = true;
    try {
      const answer = await post("search", { ...this.#request, cursor: this.#cursor });
      const seen = this.#results.length;
      this.#append(answer.results);
      fill(byId("moves"), picture(this.#results));
      this.#paged(answer.cursor);
      focusCard(byId("results").children[seen]?.firstElementChild);
    } catch (error) {
      byId("notice").append(trouble(error));
      this.#paged(null);
    } finally {
      byId("more").disabled = false;
    }
  }

  #draw(answer) {
    this.#clear();
    this.#append(answer.results);
    this.#paged(answer.cursor);
    const summary = headline(answer);
    fill(byId("report-summary"), el("span", {}, ...summary));
    fill(byId("report-body"), ...report(answer).filter(Boolean));
    show(byId("report"), true);
    say(`${summary.map((part) => part.textContent).join(": ")}.`);
    fill(
      byId("notice"),
      (answer.warnings ?? []).map((warning) => el("p", { class: "warning" }, warning)),
      !answer.results.length && nothingFound(this.#state.filter),
    );
  }

  #append(results) {
    this.#results.push(...results);
    const around = {
      query: this.#state.q,
      judgements: this.#judgements(),
      open: (result) =>
        this.page.go({
          document: result.document_id,
          start: String(result.start),
          end: String(result.end),
        }),
    };
    byId("results").append(...cards(results, around));
    this.filters.offer(results.flatMap((result) => Object.keys(result.metadata)));
  }

  #paged(cursor) {
    this.#cursor = cursor;
    show(byId("more"), cursor !== null);
  }

  #clear() {
    this.#results = [];
    fill(byId("results"));
    fill(byId("notice"));
    show(byId("report"), false);
    this.#paged(null);
  }

  async #idle(state, running) {
    this.#clear();
    document.body.classList.remove("busy");
    const add = () => this.page.go({ view: "documents" });
    try {
      const { documents } = await get(
        "documents",
        { collection: state.collection, limit: 1 },
        { signal: running.signal },
      );
      if (documents.length) fill(byId("notice"), welcome());
      else fill(byId("notice"), nothingYet(state.collection, add));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.code === "collection_not_found")
        fill(byId("notice"), nothingYet(state.collection, add));
      else fill(byId("notice"), trouble(error));
      this.page.refused(error);
    }
  }

  #controls(state) {
    for (const name of OPTIONS) {
      const field = byId("options-form").elements[name];
      // An address may name what the form does not offer, such as groups of 4.
      if (
        field.tagName === "SELECT" &&
        ![...field.options].some((option) => option.value === state[name])
      ) {
        field.add(el("option", { value: state[name] }, state[name]));
      }
      field.value = state[name];
    }
    const set = OPTIONS.filter((name) => state[name] !== DEFAULTS[name]).length;
    count(byId("options-set"), set);
    count(byId("filters-set"), state.filter ? 1 : 0);
    this.filters.set(state.filter);
  }

  #options() {
    const form = byId("options-form");
    return Object.fromEntries(
      OPTIONS.map((name) => {
        const field = form.elements[name];
        // What is out of bounds is not searched with: the field says so, and the last good one holds.
        return [name, field.checkValidity() ? field.value : this.#state[name]];
      }),
    );
  }

  #judgements() {
    return new Judgements(this.#state.collection);
  }
}

/** Move the focus to a card, and with it the one place that Tab comes to. */
export function focusCard(card) {
  if (!card) return;
  for (const each of document.querySelectorAll(".card[tabindex='0']")) each.tabIndex = -1;
  card.tabIndex = 0;
  card.focus();
}

function light(card) {
  for (const each of document.querySelectorAll(".slope")) {
    each.classList.toggle("lit", each.dataset.rank === card?.dataset.rank);
  }
}

function count(node, number) {
  show(node, number > 0);
  fill(node, number || "");
}
