// Where boxes and lines go: dagre once per open box, from the inside out, and buses for what a longer way implies.
// Everything here is (along, across) the flow; only `place` knows whether the flow runs down or to the right.
const GAP = { along: 26, close: 14, port: 9, word: 18, across: 22, lane: 8, dense: 5 };
const FRAME = { title: 26, pad: 12 };
const IN = "in";
const OUT = "out";
const layoutCache = new Map();

// tree: {id, along, across, title, note, open, children}; edges: [source, target, frame that it runs through or -1]. Returns boxes {id, x, y, w, h, port} and
// lines {points, edges, width, head} in pixels.
function layout(tree, edges, isDown) {
  const segments = chains(tree, edges);
  const whole = arrange(tree, segments, isDown, true);
  const found = { boxes: [], lines: [], w: 0, h: 0 };
  place(whole, 0, 0, isDown, found);
  [found.w, found.h] = isDown ? [whole.across, whole.along] : [whole.along, whole.across];
  return found;
}

// For each open box the lines between its children, its way in and its way out.
function chains(tree, edges) {
  const parent = new Map();
  const depth = new Map([[tree.id, 0]]);
  (function walk(box) {
    box.children.forEach((child) => {
      parent.set(child.id, box.id);
      depth.set(child.id, depth.get(box.id) + 1);
      walk(child);
    });
  })(tree);
  const found = new Map();
  const add = (box, from, to, edge) => {
    if (!found.has(box)) found.set(box, new Map());
    const lines = found.get(box);
    const key = `${from}>${to}`;
    if (!lines.has(key)) lines.set(key, { from, to, edges: [] });
    lines.get(key).edges.push(edge);
  };
  const link = (source, target, edge) => {
    let [up, down] = [source, target];
    const rise = (box, from) => { add(parent.get(box), from, OUT, edge); return parent.get(box); };
    const sink = (box, to) => { add(parent.get(box), IN, to, edge); return parent.get(box); };
    while (depth.get(up) > depth.get(down)) up = rise(up, up);
    while (depth.get(down) > depth.get(up)) down = sink(down, down);
    while (parent.get(up) !== parent.get(down)) {
      up = rise(up, up);
      down = sink(down, down);
    }
    add(parent.get(up), up, down, edge);
  };
  edges.forEach(([source, target, through], edge) => {
    if (through < 0) return link(source, target, edge);
    link(source, through, edge);
    add(through, IN, OUT, edge);
    return link(through, target, edge);
  });
  return found;
}

// One box with all that is in it, its own corner at (0, 0); `port` is where lines enter and leave, across.
function arrange(box, segments, isDown, isRoot = false) {
  if (!box.open) return { id: box.id, along: box.along, across: box.across, port: { in: box.across / 2, out: box.across / 2 }, note: box.note, inner: [], lines: [] };
  const inner = box.children.map((child) => arrange(child, segments, isDown));
  const lines = [...(segments.get(box.id)?.values() ?? [])];
  const key = JSON.stringify([isDown, isRoot, box.title, inner.map((c) => [c.along, c.across, c.port, c.note, c.inner.length > 0]), lines.map((l) => [index(inner, l.from), index(inner, l.to)])]);
  if (!layoutCache.has(key)) layoutCache.set(key, inside(box, inner, lines, isDown, isRoot));
  const plan = layoutCache.get(key);
  return {
    id: box.id, along: plan.along, across: plan.across, port: plan.port,
    inner: inner.map((child, i) => ({ ...plan.at[i], child })),
    lines: plan.routes.map(({ line, ...route }) => ({ ...route, source: lines[line[0]].from, edges: line.flatMap((l) => lines[l].edges) })),
  };
}

const index = (inner, id) => (id === IN ? -1 : id === OUT ? -2 : inner.findIndex((child) => child.id === id));

function inside(box, inner, lines, isDown, isRoot) {
  const names = [...inner.map((_, i) => i)];
  const at = (id) => (id === IN || id === OUT ? id : index(inner, id));
  const links = lines.map((line, l) => ({ from: at(line.from), to: at(line.to), line: l }));
  if (links.some((link) => link.from === IN)) names.unshift(IN);
  if (links.some((link) => link.to === OUT)) names.push(OUT);
  const { plain, implied } = reduced(names, links);
  const sizes = new Map(names.map((name) => [name, sizeOf(name, inner)]));
  const size = (name) => sizes.get(name);
  const spots = ranked(names, plain, size);
  stack(spots, plain, implied, size, isDown);
  const routes = plain.map((link) => route(link, spots, size));
  routes.push(...buses(implied, names, spots, size));
  return framed(box, names, spots, size, routes, isDown, isRoot);
}

const sizeOf = (name, inner) =>
  name === IN || name === OUT
    ? { along: 1, across: 1, left: 0.5, right: 0.5, out: 0, open: false, note: false }
    : {
        along: inner[name].along, across: inner[name].across, left: inner[name].port.in,
        right: inner[name].across - inner[name].port.in, out: inner[name].port.out - inner[name].port.in,
        open: inner[name].inner.length > 0, note: inner[name].note,
      };

// Links that no longer way implies, and the others; a link against the order counts among the others.
function reduced(names, links) {
  const order = sorted(names, links);
  const after = new Map(names.map((name) => [name, []]));
  links.forEach((link) => after.get(link.from).push(link));
  const reach = new Map();
  const implied = [];
  const plain = [];
  [...names].sort((a, b) => order.get(b) - order.get(a)).forEach((name) => {
    let seen = 0n;
    after.get(name).sort((a, b) => order.get(a.to) - order.get(b.to)).forEach((link) => {
      const place = order.get(link.to);
      const isBack = place <= order.get(name);
      if (isBack || (seen >> BigInt(place)) & 1n) {
        implied.push(link);
        return;
      }
      plain.push(link);
      seen |= (1n << BigInt(place)) | reach.get(link.to);
    });
    reach.set(name, seen);
  });
  return { plain: plain.reverse(), implied };
}

// Place of each name in a topological order; what stands in a circle keeps the order of `names`.
function sorted(names, links) {
  const waits = new Map(names.map((name) => [name, 0]));
  links.forEach((link) => waits.set(link.to, waits.get(link.to) + 1));
  const order = new Map();
  const left = new Set(names);
  while (left.size) {
    const next = [...left].find((name) => !waits.get(name)) ?? [...left][0];
    left.delete(next);
    order.set(next, order.size);
    links.forEach((link) => { if (link.from === next) waits.set(link.to, waits.get(link.to) - 1); });
  }
  return order;
}

// dagre's places: the middle of each box, and the bends of each link.
function ranked(names, links, size) {
  for (const ranker of ["network-simplex", "tight-tree", "longest-path"]) {
    const graph = new dagre.graphlib.Graph({ multigraph: true });
    graph.setGraph({ nodesep: GAP.across, ranksep: GAP.along, edgesep: 14, ranker });
    graph.setDefaultEdgeLabel(() => ({}));
    names.forEach((name) => {
      const { along, left, right } = size(name);
      graph.setNode(String(name), { width: 2 * Math.max(left, right), height: along });
    });
    links.forEach((link) => graph.setEdge(String(link.from), String(link.to), { weight: link.from === IN || link.to === OUT ? 2 : 1 }));
    try {
      dagre.layout(graph);
    } catch (error) {
      if (ranker === "longest-path") throw error;
      continue; // dagre #267: network simplex fails on some graphs
    }
    const spots = new Map(names.map((name) => [name, { across: graph.node(String(name)).x, along: graph.node(String(name)).y }]));
    spots.bands = bands(names, spots, size);
    spots.bends = new Map(links.map((link) => [link, bends(graph.edge(String(link.from), String(link.to)).points, spots.bands)]));
    return spots;
  }
  return null;
}

// The ranks of boxes: from where to where along the flow each reaches.
function bands(names, spots, size) {
  const found = new Map();
  names.forEach((name) => {
    const spot = spots.get(name);
    const key = Math.round(spot.along);
    if (!found.has(key)) found.set(key, { middle: spot.along, half: 0, names: [] });
    spot.band = found.get(key);
    spot.band.half = Math.max(spot.band.half, size(name).along / 2);
    spot.band.names.push(name);
  });
  return [...found.values()].sort((a, b) => a.middle - b.middle);
}

// Where a line crosses ranks; dagre bends lines between ranks too, which does not matter here.
function bends(points, all) {
  return points.slice(1, -1).map((p) => ({ across: p.x, band: all.find((band) => Math.abs(band.middle - p.y) < 0.6) })).filter(({ band }) => band);
}

// Moves ranks together as far as the words and bends between them allow.
function stack(spots, plain, implied, size, isDown) {
  const shifts = new Set();
  plain.forEach((link) => {
    const [from, to] = [spots.get(link.from), spots.get(link.to)];
    const way = [{ across: from.across + size(link.from).out, band: from.band }, ...spots.bends.get(link), { across: to.across, band: to.band }];
    way.slice(1).forEach(({ across }, i) => { if (Math.abs(across - way[i].across) > 0.5) shifts.add(way[i].band); });
  });
  const ends = new Set(implied.flatMap((link) => [link.from, link.to]));
  const besides = (band) => band.names.some((name) => ends.has(name) && (name === IN || name === OUT || band.names.length > 1 || size(name).open));
  let end = 0;
  spots.bands.forEach((band, i) => {
    const before = spots.bands[i - 1];
    const noted = isDown && before?.names.some((name) => size(name).note);
    const isPort = [band, before].some((b) => b?.names.length === 1 && (b.names[0] === IN || b.names[0] === OUT));
    const isCrossed = before && (besides(before) || besides(band));
    const turns = before && (shifts.has(before) || isCrossed);
    if (before) before.turn = before.to + (noted && turns ? GAP.word : 0);
    const gap = !before ? 0 : noted && turns ? GAP.along + GAP.word : turns || noted ? GAP.along : isPort ? GAP.port : GAP.close;
    band.from = end + gap;
    band.to = band.from + 2 * band.half;
    band.middle = band.from + band.half;
    band.names.forEach((name) => { spots.get(name).along = band.middle; });
    band.turn = band.to; // lines turn below the words that stand there
    end = band.to;
  });
}

// Straight through ranks, bent only between them, so that no line runs through a box.
function route(link, spots, size) {
  const [from, to] = [spots.get(link.from), spots.get(link.to)];
  const start = from.across + size(link.from).out;
  const points = [[from.along + size(link.from).along / 2, start], [from.band.turn, start]];
  spots.bends.get(link).forEach(({ band, across }) => points.push([band.from, across], [band.turn, across]));
  points.push([to.band.from, to.across], [to.along - size(link.to).along / 2, to.across]);
  return { line: [link.line], points, from: link.from, to: link.to, head: link.to !== OUT && !size(link.to).open, bus: false };
}

// One bus per source, beside the boxes that it passes; shorter ones lie further in.
function buses(links, names, spots, size) {
  const bySource = new Map();
  links.forEach((link) => bySource.set(link.from, [...(bySource.get(link.from) ?? []), link]));
  const all = [...bySource.values()].map((own) => {
    const stops = own.map((link) => entry(link.to, spots, size, false));
    const leave = entry(own[0].from, spots, size, true);
    const reach = [leave.along, ...stops.map((stop) => stop.along)];
    return { own, stops, leave, from: Math.min(...reach), to: Math.max(...reach) };
  });
  const step = all.length > 6 ? GAP.dense : GAP.lane;
  const lanes = [];
  all.sort((a, b) => a.to - a.from - (b.to - b.from)).forEach((bus) => {
    const passed = names.filter((name) => overlaps(spots.get(name).along - size(name).along / 2, spots.get(name).along + size(name).along / 2, bus));
    let lane = Math.max(...passed.map((name) => spots.get(name).across + size(name).right), bus.leave.across) + 12;
    const taken = lanes.filter((other) => overlaps(other.from, other.to, bus)).map((other) => other.lane).sort((a, b) => a - b);
    taken.forEach((other) => { if (Math.abs(other - lane) < step) lane = other + step; });
    lanes.push({ ...bus, lane });
    bus.lane = lane;
  });
  return all.map((bus) => ({
    line: bus.own.map((link) => link.line), bus: true, head: false, dense: all.length > 6,
    leave: bus.leave.points, lane: [bus.lane, bus.from, bus.to], stops: bus.stops.map((stop) => ({ points: stop.points, head: stop.head })),
  }));
}

const overlaps = (from, to, bus) => from < bus.to + 3 && to > bus.from - 3;

// Where a bus leaves or enters a box: at its side, or between the ranks where another box stands beside it.
function entry(name, spots, size, leaves) {
  const spot = spots.get(name);
  const { along, right, out, open } = size(name);
  const { band } = spot;
  const isPort = name === IN || name === OUT;
  const blocked = isPort || open || band.names.some((other) => other !== name && spots.get(other).across > spot.across);
  if (!blocked) {
    const at = spot.along + (leaves ? 5 : -5);
    return { along: at, across: spot.across + right, points: [[at, spot.across + right]], head: !leaves };
  }
  const x = spot.across + (leaves ? out : 0);
  const edge = leaves ? spot.along + along / 2 : spot.along - along / 2;
  const at = leaves ? band.turn + 7 : band.from - 9;
  return { along: at, across: x, points: [[edge, x], [at, x]], head: !leaves && !isPort && !open };
}

// The box around what was laid out, room for its title included.
function framed(box, names, spots, size, routes, isDown, isRoot) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  const cover = (along, across) => {
    [left, right] = [Math.min(left, across), Math.max(right, across)];
    [top, bottom] = [Math.min(top, along), Math.max(bottom, along)];
  };
  names.forEach((name) => {
    const [{ along, across }, s] = [spots.get(name), size(name)];
    cover(along - s.along / 2, across - s.left);
    cover(along + s.along / 2, across + s.right);
  });
  routes.forEach((route) => {
    (route.points ?? []).forEach(([along, across]) => cover(along, across));
    if (route.bus) { cover(route.lane[1], route.lane[0]); cover(route.lane[2], route.lane[0]); }
  });
  const [port, exit] = [spots.get(IN)?.across ?? spots.get(OUT)?.across, spots.get(OUT)?.across ?? spots.get(IN)?.across];
  const pad = isRoot ? { start: 8, end: 8, left: 8, right: 8 } : isDown
    ? { start: FRAME.title, end: 6, left: FRAME.pad, right: FRAME.pad }
    : { start: FRAME.pad + 4, end: FRAME.pad + 4, left: FRAME.title + 4, right: FRAME.pad };
  if (!isRoot && isDown) pad.left = Math.max(pad.left, box.title + 14 - ((port ?? right) - left));
  if (!isRoot && !isDown) pad.end = Math.max(pad.end, box.title + 20 - (bottom - top));
  if (!isRoot && isDown && port !== undefined) pad.right = Math.max(pad.right, Math.min(pad.left - FRAME.pad, 90) + FRAME.pad - Math.max(0, right - port - (port - left)));
  const [da, dc] = [pad.start - top, pad.left - left];
  const along = pad.start + (bottom - top) + pad.end;
  const across = pad.left + (right - left) + pad.right;
  const move = ([a, c]) => [a + da, c + dc];
  const ends = (route) => {
    const points = route.points.map(move);
    if (route.from === IN) points.unshift([0, points[0][1]]);
    if (route.to === OUT) points.push([along, points.at(-1)[1]]);
    return points;
  };
  return {
    along, across,
    port: { in: port === undefined ? across / 2 : port + dc, out: exit === undefined ? across / 2 : exit + dc },
    at: names.filter((name) => name !== IN && name !== OUT).map((name) => ({ along: spots.get(name).along - size(name).along / 2 + da, across: spots.get(name).across - size(name).left + dc })),
    routes: routes.map((route) => route.bus
      ? { ...route, leave: route.leave.map(move), lane: [route.lane[0] + dc, route.lane[1] + da, route.lane[2] + da], stops: route.stops.map((stop) => ({ ...stop, points: stop.points.map(move) })) }
      : { ...route, points: ends(route) }),
  };
}

// Absolute places in pixels, outer boxes before inner ones.
function place(plan, along, across, isDown, found) {
  const xy = ([a, c]) => (isDown ? [across + c, along + a] : [along + a, across + c]);
  const [x, y] = xy([0, 0]);
  found.boxes.push({ id: plan.id, x, y, port: xy([0, plan.port.in])[isDown ? 0 : 1], w: isDown ? plan.across : plan.along, h: isDown ? plan.along : plan.across });
  plan.lines.forEach((line) => {
    found.lines.push(line.bus
      ? { ...line, leave: line.leave.map(xy), lane: [xy([line.lane[1], line.lane[0]]), xy([line.lane[2], line.lane[0]])], stops: line.stops.map((stop) => ({ ...stop, points: stop.points.map(xy) })) }
      : { ...line, points: line.points.map(xy) });
  });
  plan.inner.forEach((at) => place(at.child, along + at.along, across + at.across, isDown, found));
}
