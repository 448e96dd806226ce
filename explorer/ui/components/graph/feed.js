// Hands what Python says to a graph, under its name; only what has changed is sent again.
export default function ({ data }) {
  const graphs = (globalThis.explorerGraphs ??= new Map());
  if (!graphs.has(data.graph)) graphs.set(data.graph, { feeds: {}, memory: {} });
  const slot = graphs.get(data.graph);
  slot.feeds[data.part] = data.value;
  slot.take?.(data.part);
}
