/** Files that are dropped anywhere on the page. */

import { byId, fill, show, trouble } from "./dom.js";

/**
 * @param {(files: File[]) => void} onFiles
 * @param {() => string} collection Where they would go, to be said while they are in the air.
 */
export function prepareDrop(onFiles, collection) {
  let entered = 0; // a drag enters and leaves every element that it crosses
  const over = (count) => {
    entered = Math.max(0, count);
    fill(byId("overlay-collection"), collection());
    show(byId("overlay"), entered > 0);
  };
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => carries(event) && over(entered + 1));
  addEventListener("dragleave", (event) => carries(event) && over(entered - 1));
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    over(0);
    const { files, folders } = sorted(event.dataTransfer);
    if (files.length) onFiles(files);
    if (folders.length)
      fill(
        byId("kept-notice"),
        trouble(
          new Error(
            `${folders.join(", ")}: a browser page does not walk folders. \`twofold add FOLDER\` does.`,
          ),
        ),
      );
  });
}

function sorted(transfer) {
  const files = [];
  const folders = [];
  for (const item of transfer.items) {
    const file = item.kind === "file" ? item.getAsFile() : null;
    if (item.webkitGetAsEntry?.()?.isDirectory) folders.push(file?.name ?? "A folder");
    else if (file) files.push(file);
  }
  return { files, folders };
}
