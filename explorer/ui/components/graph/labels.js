// What boxes say, and how large the words are.
const NODE = { height: 26, pad: 10, gap: 8, mark: 20 };
const FONT = { main: "600 12.5px", quiet: "400 11.5px" };
const CHANNELS = new Set(["conv", "conv1d", "conv3d", "conv_transpose", "linear"]);
const BEYOND = { exceeding: "field exceeds the picture", unproductive: "unproductive: its input sees the whole picture already" };
const QUIET = /norm$|^dropout$|^identity$/;

class Labels {
  constructor(outline, family) {
    this.outline = outline;
    this.family = family;
    this.context = document.createElement("canvas").getContext("2d");
    this.widths = new Map();
  }

  width(text, font) {
    const key = font + text;
    if (!this.widths.has(key)) {
      this.context.font = `${font} ${this.family}`;
      this.widths.set(key, this.context.measureText(text).width);
    }
    return this.widths.get(key);
  }

  // {main, quiet}: the words that are read first, and those beside them.
  of(i) {
    const o = this.outline;
    if (o.role[i] === "repeat") return { main: `× ${o.times[i]}`, quiet: this.repeated(i) };
    if (o.role[i] === "group") {
      const what = this.contents(i);
      return /^[\d.]+$/.test(o.name[i]) && what ? { main: what, quiet: o.name[i] } : { main: o.name[i], quiet: what };
    }
    const kind = this.kind(o.main[i]);
    if (kind === "input") return { main: "input", quiet: this.shape(o.main[i]) };
    const name = o.name[i] === kind || o.name[i].startsWith(`${kind}#`) ? "" : o.name[i];
    return { main: this.operation(i), quiet: name };
  }

  // The class of a module; of a mere container what it holds, if that is of one class: 3 × Bottleneck.
  contents(i) {
    const o = this.outline;
    if (!/^(Sequential|ModuleList)?$/.test(o.className[i])) return o.className[i];
    const inside = o.children[i].flatMap((c) => (o.role[c] === "repeat" ? o.children[c] : [c]));
    const classes = new Set(inside.map((c) => (o.role[c] === "group" ? o.className[c] : "")));
    const [only] = classes;
    return classes.size === 1 && only && only !== "Sequential" ? `${inside.length} × ${only}` : o.className[i];
  }

  repeated(i) {
    const [first] = this.outline.children[i];
    return this.outline.period[i] === 1 ? this.outline.className[first] || this.of(first).main : `${this.outline.period[i]} boxes each`;
  }

  kind(layer) {
    return this.outline.layers.kinds[this.outline.layers.kind[layer]];
  }

  text(layer) {
    return this.outline.layers.texts[this.outline.layers.text[layer]];
  }

  dims(layer) {
    return this.outline.layers.shapes[this.outline.layers.shape[layer]];
  }

  shape(layer) {
    return this.dims(layer).join(" × ") || "scalar";
  }

  // Of a unit all but its norms, which are the rule: conv 3×3 · 64 · relu.
  operation(i) {
    const o = this.outline;
    const words = [];
    for (let layer = o.start[i]; layer < o.stop[i]; layer++) {
      const kind = this.kind(layer);
      if (layer !== o.main[i] && QUIET.test(kind)) continue;
      words.push(this.text(layer));
      if (CHANNELS.has(kind)) words.push(this.dims(layer)[kind === "linear" ? this.dims(layer).length - 1 : 0]);
    }
    return words.join(" · ");
  }

  // Room for a closed box; `times` of a folded repeat stands behind its words.
  size(i, times) {
    const { main, quiet } = this.of(i);
    const words = this.width(main, FONT.main) + (quiet ? NODE.gap + Math.max(this.width(quiet, FONT.quiet), 44) : 0);
    const marks = (this.outline.opens(i) ? NODE.mark : 0) + (times > 1 ? this.badge(times) + 6 : 0);
    return { w: Math.ceil(2 * NODE.pad + words + marks), h: NODE.height };
  }

  badge(times) {
    return this.width(`× ${times}`, FONT.main) + 10;
  }

  title(i, times) {
    const { main, quiet } = this.of(i);
    const whole = this.width(main, FONT.main) + (quiet ? NODE.gap + this.width(quiet, FONT.quiet) : 0);
    return Math.ceil(NODE.mark + Math.min(whole, 190) + (times > 1 ? this.badge(times) + 6 : 0));
  }

  // Everything about a box in one sentence, for a tooltip and for those who do not see it.
  sentence(i, repeat) {
    const o = this.outline;
    const [start, stop] = o.span(i, repeat < 0 ? undefined : repeat);
    const last = stop - 1;
    const name = o.role[i] === "layer" || o.role[i] === "unit" ? o.layers.id[o.main[i]] : `${this.of(i).main} ${this.of(i).quiet}`.trim();
    const what = o.role[i] === "layer" || o.role[i] === "unit" ? this.members(i) : `${stop - start} layers`;
    const times = repeat < 0 ? "" : `, ${o.times[repeat]} times`;
    const found = o.marks.get(o.main[i]);
    const mark = found === "failed" ? o.failure : found;
    const params = total(o.layers.params, start, stop);
    const macs = total(o.layers.macs, start, stop);
    return [`${name}${times}: ${what}`, `output ${this.shape(last)}`, `${figure(params)} parameters`, `${figure(macs)} MACs`, this.beyond(i, start, stop), mark ?? ""].filter(Boolean).join(", ");
  }

  // What of a box has outgrown the picture; of a layer alone, why that matters.
  beyond(i, start, stop) {
    const { exceeding, unproductive, worst } = this.outline.beyond(start, stop);
    if (!worst) return "";
    if (["layer", "unit"].includes(this.outline.role[i])) return BEYOND[worst];
    return [unproductive && `${unproductive} unproductive`, exceeding && `the field of ${exceeding} exceeds the picture`].filter(Boolean).join(", ");
  }

  members(i) {
    const found = [];
    for (let layer = this.outline.start[i]; layer < this.outline.stop[i]; layer++) found.push(this.text(layer));
    return found.join(", ");
  }
}

function total(values, start, stop) {
  let sum = 0;
  for (let layer = start; layer < stop; layer++) sum += values[layer] ?? 0;
  return sum;
}

// A figure to three digits with a prefix: 61.7 k, 138 M; `base` 1000, its unit behind it.
function figure(value, unit = "") {
  const size = Math.abs(value);
  const step = ["", "k", "M", "G", "T", "P"];
  const power = size < 1000 ? 0 : Math.min(Math.floor(Math.log10(size) / 3 + 1e-9), step.length - 1);
  const short = value / 1000 ** power;
  const digits = Math.abs(short) >= 100 || Number.isInteger(short) ? 0 : Math.abs(short) >= 10 ? 1 : 2;
  return `${short.toFixed(digits)}${power || unit ? " " : ""}${step[power]}${unit}`.trim();
}
