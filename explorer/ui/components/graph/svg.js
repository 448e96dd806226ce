// Elements, and the paths of lines.
const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

function part(tag, className = "", attributes = {}, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

const at = ([x, y]) => `${round(x)} ${round(y)}`;
const round = (value) => Math.round(value * 10) / 10;

// Through points, straight along the flow and in an S where a line changes its lane.
function curve(points, isDown) {
  let path = `M${at(points[0])}`;
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    if (Math.abs(isDown ? x1 - x0 : y1 - y0) < 0.5) path += `L${at(points[i])}`;
    else if (isDown) path += `C${at([x0, (y0 + y1) / 2])} ${at([x1, (y0 + y1) / 2])} ${at([x1, y1])}`;
    else path += `C${at([(x0 + x1) / 2, y0])} ${at([(x0 + x1) / 2, y1])} ${at([x1, y1])}`;
  }
  return path;
}

// Through points, with round corners.
function rounded(points, radius = 6) {
  let path = `M${at(points[0])}`;
  for (let i = 1; i < points.length - 1; i++) {
    const [before, corner, after] = [points[i - 1], points[i], points[i + 1]];
    const [a, b] = [towards(corner, before, radius), towards(corner, after, radius)];
    path += `L${at(a)}Q${at(corner)} ${at(b)}`;
  }
  return `${path}L${at(points.at(-1))}`;
}

function towards([x, y], [u, v], radius) {
  const length = Math.hypot(u - x, v - y) || 1;
  const share = Math.min(radius, length / 2) / length;
  return [x + (u - x) * share, y + (v - y) * share];
}

// A bus: from its source into its lane, and from there to each stop.
function busPath({ leave, lane, stops }, isDown) {
  const beside = (point) => (isDown ? [lane[0][0], point[1]] : [point[0], lane[0][1]]);
  const length = ([x, y]) => Math.abs(isDown ? y - leave.at(-1)[1] : x - leave.at(-1)[0]);
  const ordered = [...stops].sort((a, b) => length(b.points.at(-1)) - length(a.points.at(-1)));
  return ordered.map((stop, i) => {
    const turn = beside(stop.points.at(-1));
    const end = [turn, ...[...stop.points].reverse()];
    if (i === 0) return rounded([...leave, beside(leave.at(-1)), ...end]);
    return rounded([towards(turn, beside(leave.at(-1)), 8), ...end]);
  }).join("");
}

// An arrow's head at the end of a line that comes from `from`.
function head([x, y], [u, v], size) {
  const length = Math.hypot(x - u, y - v) || 1;
  const [dx, dy] = [((x - u) / length) * size, ((y - v) / length) * size];
  return `M${at([x, y])}L${at([x - dx - dy * 0.6, y - dy + dx * 0.6])}L${at([x - dx + dy * 0.6, y - dy - dx * 0.6])}Z`;
}
