// What boxes are filled by: their kind, or a figure of theirs.
const FAMILIES = [
  ["conv", "convolution", /^conv/],
  ["dense", "linear, attention", /^(linear|matmul|attention|softmax|einsum|bmm)$/],
  ["pool", "pooling", /pool/],
  ["join", "add, concat, gate", /^(add|mul|concat|sub|div|stack)$/],
  ["act", "activation", /^(relu|relu6|leaky_relu|elu|selu|celu|gelu|silu|mish|hard\w+|sigmoid|tanh|soft\w+|prelu|logsigmoid|rrelu|threshold|tanhshrink)$/],
  ["bad", "cannot run, unknown", /^(failed|unknown)$/],
];
const FIGURES = {
  params: { title: "Parameters", unit: "" },
  macs: { title: "MACs", unit: "" },
  bytes: { title: "Activation bytes", unit: "B" },
  field: { title: "Receptive field", unit: "px" },
  channels: { title: "Channels", unit: "" },
};

const familyOf = (kind) => FAMILIES.find(([, , pattern]) => pattern.test(kind))?.[0] ?? "other";

// The figure of a box; null where it is not known. Of a module the sum of its layers' own, or the greatest of a share.
class Metrics {
  constructor(outline, labels) {
    this.outline = outline;
    this.labels = labels;
    this.more = {};
    this.shares = new Set();
  }

  names() {
    return ["kind", ...Object.keys(FIGURES), ...Object.keys(this.more)];
  }

  title(name) {
    return name === "kind" ? "Kind" : FIGURES[name]?.title ?? name;
  }

  take({ values, shares }) {
    this.more = values;
    this.shares = new Set(shares);
  }

  value(name, i, repeat) {
    const o = this.outline;
    const [start, stop] = o.span(i, repeat < 0 ? undefined : repeat);
    if (name === "channels") return this.labels.dims(stop - 1)[0] ?? null;
    const all = name in FIGURES ? o.layers[name] : null;
    const known = [];
    for (let layer = start; layer < stop; layer++) {
      const value = all ? all[layer] : this.more[name]?.[o.layers.id[layer]];
      if (value !== null && value !== undefined) known.push(value);
    }
    if (name === "field") return all[stop - 1] ?? null;
    if (!known.length) return null;
    return this.shares.has(name) ? Math.max(...known) : known.reduce((a, b) => a + b, 0);
  }

  words(name, value) {
    if (value === null) return name === "field" ? "whole image" : "–";
    if (this.shares.has(name)) return `${Math.round(100 * value)} %`;
    return figure(value, FIGURES[name]?.unit ?? "");
  }
}
