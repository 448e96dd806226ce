// Where a grid is replaced by its successor while the focus is in it, the focus goes on to the successor.
const PATIENCE_MS = 5000; // until the page has drawn the successor
const HOME = "st-key-home-of-grid"; // how the class of the container begins that holds one after the other
const keyOf = (element) => element?.closest?.(`[class*="${HOME}"]`)?.className.match(/st-key-home-of-grid\S*/)?.[0] ?? null;

// The grid in which the person is, by its key; null where they are elsewhere.
const place = (globalThis.explorerGrid ??= watched());

function watched() {
  const found = { key: null };
  const note = ({ target }) => { found.key = keyOf(target); };
  document.addEventListener("focusin", note, true);
  document.addEventListener("pointerdown", note, true);
  return found;
}

export default function ({ parentElement }) {
  const key = keyOf(parentElement.querySelector(".root").getRootNode().host);
  const until = performance.now() + PATIENCE_MS;
  let waits = true;
  const look = () => {
    if (!waits || place.key !== key || performance.now() > until) return;
    if (document.activeElement === document.body) document.querySelector(`.${key} [data-testid=data-grid-canvas]`)?.focus();
    requestAnimationFrame(look);
  };
  look();
  return () => { waits = false; };
}
