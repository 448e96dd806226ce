const SVG = "http://www.w3.org/2000/svg";
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// The cell between whose borders a share (0 to 1) of the image's length lies; -1 outside all of them.
function cell(borders, pixel) {
  const count = borders.length - 1;
  return pixel < borders[0] || pixel > borders[count] ? -1 : Math.min(borders.findLastIndex((b) => b <= pixel), count - 1);
}

function rectangles(outline) {
  const [top, left, bottom, right] = outline.box;
  return ["halo", outline.dashed ? "line dashed" : "line"].map((className) => {
    const rect = document.createElementNS(SVG, "rect");
    const place = { x: left, y: top, width: right - left, height: bottom - top, class: className };
    Object.entries(place).forEach(([name, value]) => rect.setAttribute(name, value));
    const title = document.createElementNS(SVG, "title");
    title.textContent = outline.label;
    rect.append(title);
    return rect;
  });
}

function scale(legend) {
  const row = make("div", "scale");
  const bar = make("div", "bar");
  bar.style.background = `linear-gradient(to right, ${legend.colours.join(", ")})`;
  row.append(make("span", "", legend.low), bar, make("span", "", legend.high));
  return row;
}

function names(legend) {
  const row = make("div", "names");
  Object.entries(legend.names).forEach(([name, colour]) => {
    const entry = make("span", "");
    const square = make("i", "");
    square.style.background = colour;
    entry.append(square, name);
    row.append(entry);
  });
  return row;
}

function key(legend) {
  const box = make("div", "legend");
  box.append(make("div", "", legend.title), legend.colours.length ? scale(legend) : names(legend));
  return box;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  const [height, width] = data.size;
  const stage = make("div", data.live ? "stage live" : "stage");
  const image = make("img", "");
  const svg = document.createElementNS(SVG, "svg");
  const output = make("output", "");
  image.src = data.source;
  image.alt = data.label;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(...data.outlines.flatMap(rectangles));
  stage.append(image, svg);

  const text = (at) => (at && data.texts[at[0]]?.[at[1]]) || "";
  const rest = () => { output.textContent = text(data.chosen); };
  const under = (event) => {
    const box = stage.getBoundingClientRect();
    const row = cell(data.rows, ((event.clientY - box.top) / box.height) * height);
    const column = cell(data.columns, ((event.clientX - box.left) / box.width) * width);
    return row < 0 || column < 0 ? null : [row, column];
  };
  stage.onpointermove = (event) => { output.textContent = text(under(event)); };
  stage.onpointerleave = rest;
  if (data.live) {
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", `${data.label}. Arrow keys move the position.`);
    stage.onclick = (event) => { const at = under(event); if (at) setTriggerValue("picked", at); };
    stage.onkeydown = (event) => {
      const step = STEPS[event.key];
      if (!step || !data.chosen) return;
      event.preventDefault();
      const limit = [data.rows.length - 2, data.columns.length - 2];
      setTriggerValue("picked", data.chosen.map((v, i) => Math.min(Math.max(v + step[i], 0), limit[i])));
    };
  }
  const focused = parentElement.activeElement?.classList.contains("stage");
  const parts = [stage];
  if (data.texts.length) parts.push(output);
  if (data.legend) parts.push(key(data.legend));
  root.replaceChildren(...parts);
  rest();
  if (focused) stage.focus();
}
