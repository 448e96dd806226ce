// Graphs on the page by key: what was fed into each, and what outlives the element that shows it.
const graphs = (globalThis.explorerGraphs ??= new Map());

// What Python hands in for a graph; it may come before the graph itself.
function slot(key) {
  if (!graphs.has(key)) graphs.set(key, { feeds: {}, memory: {} });
  return graphs.get(key);
}

// As tall as what the window has below the element's beginning; on a phone more than half of it.
function fillWindow(root) {
  const scroller = root.getRootNode().host?.closest("[data-testid=stMain]");
  const fit = () => {
    if (!root.isConnected) return window.removeEventListener("resize", fit);
    const top = root.getBoundingClientRect().top + (scroller?.scrollTop ?? 0);
    const height = window.innerWidth < 640 ? "60vh" : `max(23rem, calc(100vh - ${Math.round(top)}px - 1.2rem))`;
    return root.style.setProperty("--height", height);
  };
  window.addEventListener("resize", fit);
  fit();
  setTimeout(fit, 1500); // what stands above may still have grown
}

// Shows the graph of a key in an element; `tell` is told of a layer that is picked, and of what is opened.
function mount(key, root, tell) {
  const own = slot(key);
  own.view?.close();
  const view = new GraphView(root, own.memory, tell);
  own.view = view;
  own.take = (name) => view.take(name, own.feeds[name]);
  ["metrics", "chosen", "payload", "figure"].filter((name) => name in own.feeds).forEach(own.take);
  return () => {
    view.close();
    if (own.view !== view) return; // an element that is replaced may go after its successor has come
    own.view = null;
    own.take = null;
  };
}
