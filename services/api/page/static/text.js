/** Offsets in code points, as the API counts, over JavaScript's strings, which count otherwise. */

/**
 * Where code point `count` after `from` is in the string: an index of UTF-16 units.
 * Text without surrogates, which is most, is not walked through.
 */
export function unitIndex(text, count, from = 0) {
  if (!/[\ud800-\udbff]/.test(text)) return Math.min(from + count, text.length);
  let index = from;
  for (let left = count; left > 0 && index < text.length; left -= 1) {
    index += text.codePointAt(index) > 0xffff ? 2 : 1;
  }
  return index;
}

/** `text[start:end]` of Python. */
export function slice(text, start, end) {
  const first = unitIndex(text, start);
  return text.slice(first, unitIndex(text, end - start, first));
}

/** How many code points a string has. */
export function length(text) {
  return /[\ud800-\udbff]/.test(text) ? [...text].length : text.length;
}

/**
 * The text in pieces that are marked or not, in order, whole.
 * @param {string} text
 * @param {{start: number, end: number}[]} spans Of a document; they may touch and overlap.
 * @param {number} base Where the text begins in that document.
 * @returns {{text: string, marked: boolean}[]}
 */
export function pieces(text, spans, base = 0) {
  const found = [];
  const total = length(text);
  let at = 0;
  const add = (end, marked) => {
    if (end <= at) return;
    found.push({ text: slice(text, at, end), marked });
    at = end;
  };
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    add(Math.min(start - base, total), false);
    add(Math.min(end - base, total), true);
  }
  add(total, false);
  return found;
}

/**
 * The part of a passage to show first: about `width` code points where most of the words are.
 * What is hardly longer is shown whole.
 * @returns {[number, number]} A range in the passage, of whole words.
 */
export function excerpt(text, spans, base, width) {
  const total = length(text);
  if (total <= width * 1.2) return [0, total];
  const starts = spans.map((span) => span.start - base).sort((a, b) => a - b);
  let best = 0;
  let most = 0;
  starts.forEach((start, index) => {
    let count = 0;
    while (index + count < starts.length && starts[index + count] < start + width) count += 1;
    if (count > most) [best, most] = [start, count];
  });
  const lead = Math.min(Math.max(0, best - Math.floor(width / 6)), total - width);
  const from = best < width * 0.6 || lead <= 0 ? 0 : lead + afterSpace(slice(text, lead, best));
  const end = Math.min(from + width, total);
  return [from, end === total ? total : beforeSpace(text, from, end)];
}

/** Where the first whole word begins; 0 where there is none. */
function afterSpace(text) {
  const found = text.match(/^\S*\s+(?=\S)/);
  return found ? length(found[0]) : 0;
}

/** Where the last whole word ends, unless that is far away. */
function beforeSpace(text, from, end) {
  const shown = slice(text, from, end);
  const word = shown.match(/\s+\S*$/);
  return word && word.index > shown.length / 2 ? end - length(word[0]) : end;
}

/** Bytes in words. */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/** A time on the clock in words. */
export function milliseconds(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

/** "1 passage", "3 passages". */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** A name in so many characters, its ending kept. */
export function shortened(name, width) {
  const characters = [...name];
  if (characters.length <= width) return name;
  const tail = Math.min(6, Math.floor(width / 3));
  return `${characters.slice(0, width - tail - 1).join("")}…${characters.slice(-tail).join("")}`;
}
