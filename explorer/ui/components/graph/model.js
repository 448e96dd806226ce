// The outline of a network, which of its entries are open, and what is seen of it then.
const ROLES = ["layer", "unit", "group", "repeat"];
const LIMIT = 320; // boxes laid out at once
const FIRST = 24; // boxes that a first look shows at most

class Outline {
  constructor(payload) {
    this.title = payload.title;
    this.failure = payload.failure;
    this.layers = payload.layers;
    this.edges = payload.edges;
    const { role, parent, start, stop, main, title, repeats, classes } = payload.entries;
    Object.assign(this, { parent, start, stop, main, name: title });
    this.role = role.map((r) => ROLES[r]);
    this.className = payload.entries.class.map((c) => classes[c]);
    this.times = role.map((_, i) => repeats[i]?.[0] ?? 1);
    this.period = role.map((_, i) => repeats[i]?.[1] ?? 1);
    this.children = role.map(() => []);
    this.depth = role.map(() => 0);
    this.key = role.map(() => "");
    this.at = new Map();
    role.forEach((_, i) => this.place(i));
    const concat = payload.layers.kinds.indexOf("concat");
    this.isConcat = payload.layers.kind.map((kind) => kind === concat);
    this.inputs = payload.layers.id.map(() => []);
    payload.edges[0].forEach((source, e) => this.inputs[payload.edges[1][e]].push(source));
    this.place_of = new Map(this.layers.id.map((id, i) => [id, i]));
    this.outgrown = new Map(Object.entries(payload.outgrown).flatMap(([kind, layers]) => layers.map((layer) => [layer, kind])));
    this.marks = new Map(Object.entries(payload.marks).map(([id, mark]) => [this.place_of.get(id), mark]));
  }

  place(i) {
    const up = this.parent[i];
    if (up >= 0) {
      this.children[up].push(i);
      this.depth[i] = this.depth[up] + (this.role[up] === "group" ? 1 : 0);
    }
    const key = `${up < 0 ? "" : this.key[up]}/${this.role[i][0]}${this.name[i]}`;
    let unique = key;
    for (let n = 2; this.at.has(unique); n++) unique = `${key}#${n}`;
    this.key[i] = unique;
    this.at.set(unique, i);
  }

  opens(i) {
    return this.role[i] !== "layer";
  }

  // Layers that a box stands for, all copies of its repeats included.
  span(i, folded) {
    const whole = folded ?? i;
    return [this.start[whole], this.stop[whole]];
  }

  // How the layers from `start` to `stop` have outgrown the picture: how many each way, and the worse of the two.
  beyond(start, stop) {
    const found = { exceeding: 0, unproductive: 0 };
    for (let layer = start; layer < stop; layer++) if (this.outgrown.has(layer)) found[this.outgrown.get(layer)]++;
    return { ...found, worst: ["unproductive", "exceeding"].find((kind) => found[kind]) };
  }

  path(i) {
    const found = [];
    for (let at = this.parent[i]; at > 0; at = this.parent[at]) found.unshift(at);
    return found;
  }

  // The smallest entry that holds a layer: the layer itself.
  leaf(layer) {
    let at = 0;
    while (this.children[at].length) at = this.children[at].find((c) => this.start[c] <= layer && layer < this.stop[c]);
    return at;
  }

  // What is opened to `level`: modules less deep; beyond the deepest its units, then its repeats.
  level(level) {
    const deepest = this.deepest();
    const wanted = (i) =>
      (this.role[i] === "group" && this.depth[i] < level) ||
      (this.role[i] === "unit" && level > deepest) ||
      (this.role[i] === "repeat" && level > deepest + 1);
    return new Set(this.key.filter((_, i) => i > 0 && wanted(i)));
  }

  deepest() {
    return 1 + Math.max(0, ...this.role.map((r, i) => (r === "group" ? this.depth[i] : 0)));
  }

  firstLook() {
    let best = this.level(1);
    for (let level = 1; level <= this.deepest(); level++) {
      const open = this.level(level);
      if (this.count(open) > FIRST) break;
      best = open;
    }
    return best;
  }

  // Layers at which a network that cannot run stops.
  failing() {
    return [...this.marks].filter(([, mark]) => mark === "failed").map(([layer]) => layer);
  }

  openTo(layer, open) {
    this.path(this.leaf(layer)).forEach((i) => {
      const first = this.start[i] + (this.stop[i] - this.start[i]) / this.times[i];
      if (this.role[i] === "group" || (this.role[i] === "repeat" && layer >= first)) open.add(this.key[i]);
    });
  }

  count(open) {
    let boxes = 0;
    const walk = (i) => this.shown(i, open).forEach((c) => (this.isOpen(c, open) ? walk(c) : boxes++));
    walk(0);
    return boxes;
  }

  isOpen(i, open) {
    return this.role[i] === "repeat" || (this.opens(i) && open.has(this.key[i]));
  }

  // Children of an open entry that are drawn: of a folded repeat those of its first copy.
  shown(i, open) {
    const all = this.children[i];
    return this.role[i] === "repeat" && !open.has(this.key[i]) ? all.slice(0, this.period[i]) : all;
  }

  // Closes what was opened longest ago, until at most LIMIT boxes are seen; says how many it closed.
  within(open, spared = -1) {
    const boxes = new Map(); // seen inside each open entry
    const count = (i) => {
      const sum = this.shown(i, open).reduce((all, c) => all + (this.isOpen(c, open) ? count(c) : 1), 0);
      boxes.set(i, sum);
      return sum;
    };
    let over = count(0) - LIMIT;
    const keep = new Set(spared < 0 ? [] : [spared, ...this.path(spared)]);
    const entries = [...open].map((key) => this.at.get(key)).filter((i) => boxes.has(i) && !keep.has(i));
    if (spared < 0) entries.sort((a, b) => b - a);
    const closed = new Set();
    for (const i of entries) {
      if (over <= 0) break;
      if (this.path(i).some((up) => closed.has(up))) continue;
      const left = this.role[i] === "repeat" ? this.children[i].slice(0, this.period[i]).reduce((sum, c) => sum + (boxes.get(c) ?? 1), 0) : 1;
      const fewer = boxes.get(i) - left;
      over -= fewer;
      [i, ...this.path(i)].forEach((up) => boxes.set(up, boxes.get(up) - fewer));
      open.delete(this.key[i]);
      closed.add(this.role[i] === "repeat" ? -1 : i);
    }
    return closed.size;
  }

  // The boxes that are seen, as a tree, and the edges between those that are closed.
  visible(open) {
    const folds = [];
    const owner = new Int32Array(this.layers.id.length).fill(-1);
    const frames = new Set();
    const box = (i, repeat) => {
      if (this.role[i] === "repeat" && !open.has(this.key[i])) {
        folds.push(i);
        if (this.period[i] === 1) return box(this.children[i][0], i);
      }
      const isOpen = this.isOpen(i, open) || i === 0;
      const found = { id: i, repeat, open: isOpen, children: [] };
      if (isOpen) frames.add(i);
      if (isOpen) found.children = this.shown(i, open).map((c) => box(c, -1));
      else owner.fill(i, this.start[i], this.stop[i]);
      return found;
    };
    const root = box(0, -1);
    return { root, folds, ...this.between(owner, folds, frames) };
  }

  between(owner, folds, frames) {
    const [sources, targets] = this.edges;
    const first = new Int32Array(owner.length);
    const copies = folds.map(() => new Int16Array(owner.length).fill(-1));
    for (let layer = 0; layer < owner.length; layer++) {
      let at = layer;
      folds.forEach((fold, f) => {
        if (at < this.start[fold] || at >= this.stop[fold]) return;
        const size = (this.stop[fold] - this.start[fold]) / this.times[fold];
        copies[f][layer] = Math.floor((at - this.start[fold]) / size);
        at = this.start[fold] + ((at - this.start[fold]) % size);
      });
      first[layer] = at;
      owner[layer] = owner[at];
    }
    const apart = (s, t) => copies.some((copy) => copy[s] >= 0 && copy[t] >= 0 && copy[s] !== copy[t]);
    const found = new Map();
    const whence = this.passedOn(owner);
    sources.forEach((from, e) => {
      const t = targets[e];
      if (owner[from] === owner[t] || apart(from, t)) return;
      whence(from).forEach((s) => {
        if (owner[s] === owner[t]) return;
        const key = `${owner[s]} ${owner[t]}`;
        if (!found.has(key)) found.set(key, { source: owner[s], target: owner[t], layer: s, through: s === from ? -1 : this.around(owner[from], s, t, frames) });
      });
    });
    return { edges: [...found.values()], owner };
  }

  // The outermost frame around a box that holds neither of two layers: what is passed on runs through it.
  around(box, s, t, frames) {
    const holds = (i, layer) => this.start[i] <= layer && layer < this.stop[i];
    return this.path(box).find((i) => frames.has(i) && !holds(i, s) && !holds(i, t)) ?? -1;
  }

  // Concatenations in closed boxes one after the other pass on, unchanged, what earlier boxes made: a dense block. There
  // its readers are joined with each of those boxes. Returns layer → layers that its output comes from.
  passedOn(owner) {
    const isHidden = (layer) => this.isConcat[layer] && this.main[owner[layer]] !== layer;
    const dense = new Set();
    this.isConcat.forEach((is, layer) => {
      if (!is || !isHidden(layer)) return;
      this.inputs[layer].filter((d) => owner[d] !== owner[layer] && isHidden(d)).forEach((d) => dense.add(owner[d]).add(owner[layer]));
    });
    const known = new Map();
    const whence = (layer) => {
      if (!isHidden(layer) || !dense.has(owner[layer])) return [layer];
      if (!known.has(layer)) {
        const passed = this.inputs[layer].filter((d) => owner[d] !== owner[layer]).flatMap(whence);
        known.set(layer, [...new Set([layer, ...passed])]);
      }
      return known.get(layer);
    };
    return whence;
  }

  // -- the fold as text ---------------------------------------------------------------------------------------------

  foldable() {
    return this.key.map((_, i) => i).filter((i) => i > 0 && this.opens(i));
  }

  // Five characters that another network hardly has.
  stamp(entries) {
    const sum = entries.map((i) => this.key[i]).join("\n");
    let hash = 7;
    for (let i = 0; i < sum.length; i++) hash = (Math.imul(hash, 31) + sum.charCodeAt(i)) >>> 0;
    return hash.toString(36).padStart(5, "0").slice(-5);
  }

  // A bit for each entry that opens, six to a character; before them a stamp of the network.
  encode(open) {
    const entries = this.foldable();
    const bits = entries.map((i) => open.has(this.key[i]));
    let text = "";
    for (let i = 0; i < bits.length; i += 6) {
      text += ALPHABET[bits.slice(i, i + 6).reduce((sum, bit, k) => sum + (bit ? 1 << k : 0), 0)];
    }
    return `${this.stamp(entries)}.${text.replace(/A+$/, "")}`;
  }

  // What `encode` told of; null for a text that is none of this network's.
  decode(text) {
    const [, stamp, body] = /^([0-9a-z]{5})\.([\w-]*)$/.exec(text ?? "") ?? [];
    const entries = this.foldable();
    if (stamp !== this.stamp(entries) || body.length > Math.ceil(entries.length / 6)) return null;
    const isOpen = (n) => (ALPHABET.indexOf(body[Math.floor(n / 6)] ?? "A") >> n % 6) & 1;
    return new Set(entries.filter((_, n) => isOpen(n)).map((i) => this.key[i]));
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
