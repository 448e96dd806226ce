// Graphs on the page by key: what was fed into each, and what outlives the element that shows it.
const graphs = (globalThis.explorerGraphs ??= new Map());

// What Python hands in for a graph; it may come before the graph itself.
function slot(key) {
  if (!graphs.has(key)) graphs.set(key, { feeds: {}, memory: {} });
  return graphs.get(key);
}

// Shows the graph of a key in an element; `tell` is told of a layer that is picked, and of what is opened.
function mount(key, root, tell) {
  const own = slot(key);
  own.view?.close();
  own.view = new GraphView(root, own.memory, tell);
  own.take = (name) => own.view.take(name, own.feeds[name]);
  ["metrics", "chosen", "payload"].filter((name) => name in own.feeds).forEach(own.take);
  return () => {
    own.view?.close();
    own.view = null;
    own.take = null;
  };
}
