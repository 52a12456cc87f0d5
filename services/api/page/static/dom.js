/** Elements from properties and children. A string becomes text, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 * @param {string} name
 * @param {object} properties Attributes; `on` holds listeners, null and false leave one out.
 * @param {...(Node|string|number|null|false|Array)} children
 */
export function el(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** An element of SVG, made in the same way. */
export function svg(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

/** The element of the page with that id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Put these in the place of everything that is in the node. */
export function fill(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

/** Show a node, or take it from sight and from screen readers. */
export function show(node, shown) {
  node.hidden = !shown;
}

/** Say something to those who do not see the page change. */
export function say(sentence) {
  byId("said").textContent = sentence;
}

/** A button that does something here; it submits nothing. */
export function button(label, onClick, properties = {}) {
  return el("button", { type: "button", ...properties, on: { click: onClick } }, label);
}

/** A sentence of something that went wrong, read out at once. */
export function trouble(error) {
  return el("p", { class: "trouble", role: "alert" }, error.message);
}

function filled(node, { on = {}, ...attributes }, children) {
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}
