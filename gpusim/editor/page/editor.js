// Forms for a scenario, made from the JSON schema; every change goes to the server, which changes the text.

const at = id => document.getElementById(id);
const key = path => JSON.stringify(path);
let schema, library, view, section = "states", pending = new Set(), opened = new Set(), chosen = null;

function make(tag, attributes = {}, ...inner) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...inner.filter(each => each != null));
  return made;
}

// Requests

async function ask(path, body) {
  const answer = await fetch(`api/${path}`, body === undefined ? {} : { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

let last = Promise.resolve();
function act(name, body = {}) {
  last = last.then(async () => {
    try {
      const next = await ask(name, body);
      at("failed").textContent = next.failed;
      show(next);
    } catch (error) {
      at("failed").textContent = error.message;
    }
  });
  return last;
}

// The schema

function resolved(part) {
  return part.$ref ? { ...schema.$defs[part.$ref.split("/").at(-1)], ...part, $ref: undefined } : part;
}
function branches(part) {
  part = resolved(part);
  const several = part.anyOf ?? part.oneOf;
  return (several ? several.flatMap(branches) : [part]).filter(each => each.type !== "null");
}
const isTable = part => part.properties !== undefined;
const isMap = part => part.type === "object" && !isTable(part);
const inner = part => Object.values(part.patternProperties ?? {})[0] ?? part.additionalProperties ?? {};
const isPlain = value => value !== null && typeof value === "object";

function branch(part, value) {
  // The form of the schema that a value has.
  const all = branches(part);
  if (Array.isArray(value)) return all.find(each => each.type === "array") ?? {};
  if (isPlain(value)) {
    const tables = all.filter(isTable);
    const fits = each => Object.entries(value).filter(([name, of]) => {
      const wanted = each.properties[name];
      return wanted && (wanted.const === undefined || wanted.const === of);
    }).length;
    return tables.sort((a, b) => fits(b) - fits(a))[0] ?? all.find(isMap) ?? {};
  }
  return {};
}
const choices = part => branches(part).flatMap(each => each.enum ?? (each.const !== undefined ? [each.const] : each.type === "boolean" ? [true, false] : []));

function valueAt(data, path) {
  return path.reduce((here, part) => (here === undefined || here === null ? undefined : here[part]), data);
}
const isOwn = path => valueAt(view.own, path) !== undefined;

// Values as YAML text

function written(value) {
  return isPlain(value) ? JSON.stringify(value) : value === undefined || value === null ? "" : String(value);
}
const UNSAFE = /^[\s\-?:,[\]{}#&*!|>'"%@`]|: | #|:$|^(true|false|null|~)?$|^[-+]?[\d.]+(e[-+]?\d+)?$/i;
function source(part, text) {
  const all = branches(part);
  const words = all.every(each => each.type === "string" && !each.unit);
  return words && UNSAFE.test(text) ? JSON.stringify(text) : text;
}

// Forms

function row(name, path, part, value, required) {
  const about = resolved(part).description ?? "";
  const place = view.places[key(path)];
  const control = field(part, value, path);
  const below = isPlain(value) || (value === undefined && control.classList.contains("block"));
  return make("div", {
    class: "row" + (isOwn(path) || value === undefined ? "" : " inherited"), "data-path": key(path),
    title: place && !isOwn(path) ? `from ${place}` : null,
  },
    make("label", { title: about }, String(name)),
    make("div", { class: "value" }, below ? null : control),
    required && value === undefined ? make("span") : remover(path),
    below ? make("div", { style: "grid-column: 1 / -1" }, control) : null);
}

function remover(path) {
  return make("button", {
    class: "remove", title: "Remove", "aria-label": `Remove ${path.join(".")}`,
    onclick: event => {
      event.preventDefault();
      pending.delete(key(path));
      if (valueAt(view.data, path) === undefined && !isOwn(path)) draw(); else act("remove", { path });
    },
  }, "×");
}

function field(part, value, path) {
  if (value === undefined && pending.has(key(path))) {
    const all = branches(part), only = all[0] ?? {};
    if (all.every(isTable) && all.length) value = {};
    else if (all.length === 1 && isMap(only)) value = {};
    else if (all.length === 1 && only.type === "array") value = [];
  }
  if (!isPlain(value)) return input(part, value, path);
  const form = branch(part, value);
  return make("div", { class: "block" }, ...(Array.isArray(value) ? list(form, value, path)
    : isTable(form) ? table(form, value, path) : map(form, value, path)));
}

function table(part, value, path) {
  const required = new Set(part.required ?? []);
  const has = name => value[name] !== undefined || required.has(name) || pending.has(key([...path, name]));
  const names = Object.keys(part.properties);
  const unknown = Object.keys(value).filter(name => !names.includes(name));
  const rows = [...names.filter(has), ...unknown].map(name =>
    row(name, [...path, name], part.properties[name] ?? {}, value[name] ?? undefined, required.has(name)));
  const others = names.filter(name => !has(name));
  if (!others.length) return rows;
  const more = make("select", {
    "aria-label": `Add to ${path.join(".")}`,
    onchange: event => { begin([...path, event.target.value], part.properties[event.target.value]); },
  }, make("option", { value: "" }, "add ..."), ...others.map(name => make("option", { value: name }, name)));
  return [...rows, make("div", { class: "add" }, more)];
}

function map(part, value, path) {
  const names = Object.keys(value).concat(waiting(path).filter(name => value[name] === undefined));
  const entries = names.map(name => entry(inner(part), name, value[name] ?? undefined, [...path, name]));
  return [...entries, adder(path, name => begin([...path, name], inner(part)))];
}

function list(part, value, path) {
  const count = Math.max(value.length, ...waiting(path).map(place => Number(place) + 1));
  const form = i => part.prefixItems?.[i] ?? part.items ?? {};
  const rows = Array.from({ length: count }, (_, i) => row(i + 1, [...path, i], form(i), value[i], false));
  const add = make("button", {
    "aria-label": `Add to ${path.join(".")}`, onclick: () => begin([...path, count], form(count)),
  }, "add");
  return [...rows, part.prefixItems && count >= part.prefixItems.length ? null : make("div", { class: "add" }, add)];
}

const waiting = path => [...pending].map(each => JSON.parse(each))
  .filter(each => each.length === path.length + 1 && key(each.slice(0, -1)) === key(path)).map(each => each.at(-1));

function adder(path, done) {
  const name = make("input", { placeholder: "new name", "aria-label": `New in ${path.join(".")}`, list: "names" });
  const add = () => name.value.trim() && done(name.value.trim());
  name.addEventListener("keydown", event => event.key === "Enter" && add());
  return make("div", { class: "add" }, name, " ", make("button", { onclick: add }, "add"));
}

function begin(path, part) {
  // A value that is not in the text yet: a row that waits for it, or a table that needs nothing.
  const all = branches(part);
  opened.add(key(path));
  if (all.length === 1 && isTable(all[0]) && !(all[0].required ?? []).length && path.length === 2)
    return act("put", { path, value: "{}" });
  pending.add(key(path));
  draw();
  const rows = [...document.querySelectorAll("[data-path]")];
  rows.find(each => each.dataset.path === key(path))?.querySelector("input, select")?.focus();
}

function entry(part, name, value, path) {
  // One of many, such as a rule: closed until it is needed.
  if (!isPlain(value) && !(pending.has(key(path)) && branches(part).some(isTable))) return row(name, path, part, value, false);
  const digest = Object.values(value ?? {}).filter(each => !isPlain(each)).slice(0, 3).join(", ");
  return make("details", {
    open: opened.has(key(path)), "data-path": key(path), class: isOwn(path) ? "" : "inherited",
    ontoggle: event => event.target.open ? opened.add(key(path)) : opened.delete(key(path)),
  }, make("summary", {}, make("b", {}, name), make("span", { class: "about" }, digest), remover(path)), field(part, value, path));
}

function input(part, value, path) {
  const words = choices(part);
  const send = event => {
    const text = event.target.value;
    if (text === "" && value === undefined) return;
    pending.delete(key(path));
    for (let n = path.length - 1; n > 0; n--) pending.delete(key(path.slice(0, n)));
    act("put", { path, value: source(part, text) });
  };
  if (words.length && branches(part).every(each => each.enum || each.const !== undefined || each.type === "boolean")) {
    const all = value === undefined ? ["", ...words] : words.includes(value) ? words : [value, ...words];
    return make("select", { "aria-label": path.join("."), onchange: send },
      ...all.map(each => make("option", { value: String(each), selected: each === value }, String(each))));
  }
  const all = branches(part);
  const unit = all.map(each => each.unit).find(each => each);
  const names = all.some(each => each.pattern && (each.type === "string" || each.items)) || all.some(each => each.items?.pattern);
  const hint = [unit ? `in ${unit}` : "", words.join(", "), all.some(isPlain) && all.some(each => isTable(each) || isMap(each)) ? "or {key: value}" : "",
    all.some(each => each.type === "array") ? "or [a, b]" : ""].filter(each => each).join(" ");
  return make("input", {
    value: written(value), placeholder: hint, "aria-label": path.join("."), onchange: send, spellcheck: "false",
    list: path[0] === "extends" ? "parts" : names ? "names" : null,
  });
}

// The page

function sectionsOf() {
  const all = ["extends", ...Object.keys(schema.properties)];
  return ["text", ...all];
}

function drawSections() {
  const count = name => {
    const value = name === "extends" ? view.own.extends : view.data[name];
    return isPlain(value) ? Object.keys(value).length : value === undefined ? 0 : 1;
  };
  at("sections").replaceChildren(...sectionsOf().map(name => {
    const bad = view.problems.filter(each => each.path[0] === name).length;
    return make("button", {
      "aria-current": String(name === section), class: name !== "text" && !count(name) ? "absent" : "",
      onclick: () => { section = name; draw(); },
    }, name, bad ? make("span", { class: "bad" }, String(bad)) : null);
  }));
}

function drawForm() {
  const form = at("form"), top = form.scrollTop;
  if (section === "text") {
    form.replaceChildren(make("h1", {}, "text of the file"),
      make("textarea", { id: "text", spellcheck: "false", onchange: event => act("text", { text: event.target.value }) }, view.text));
    return;
  }
  const part = schema.properties[section] ?? schema.extends;
  const path = [section], value = section === "extends" ? view.own.extends : view.data[section];
  const about = branches(part).map(each => each.description).find(each => each) ?? inner(branches(part)[0] ?? {}).description
    ?? branches(inner(branches(part)[0] ?? {}))[0]?.description ?? "";
  if (value === undefined && branches(part).some(each => isTable(each) || isMap(each) || each.type === "array")) pending.add(key(path));
  const inside = field(part, value, path);
  form.replaceChildren(make("h1", {}, section), make("p", { class: "about" }, about.replaceAll("`", "").replace(/(?<!\n)\n(?!\n)/g, " ")),
    inside.classList.contains("block") ? make("div", { "data-path": key(path) }, ...inside.childNodes)
      : make("div", { class: "row", "data-path": key(path) }, make("label", {}, section), make("div", { class: "value" }, inside)));
  form.scrollTop = top;
}

function markProblems() {
  const rows = new Map([...document.querySelectorAll("[data-path]")].map(each => [each.dataset.path, each]));
  for (const problem of view.problems) {
    if (problem.path[0] !== section) continue;
    let n = problem.path.length;
    while (n > 0 && !rows.has(key(problem.path.slice(0, n)))) n--;
    const place = rows.get(key(problem.path.slice(0, n)));
    if (!place) continue;
    place.classList.add("bad");
    if (place.tagName === "DETAILS") place.querySelector("summary").classList.add("problem");
    const rest = problem.path.slice(n).join(".");
    place.append(make("div", { class: "problem" }, (rest ? `${rest}: ` : "") + problem.message));
  }
  for (const each of document.querySelectorAll("details:has(.bad)")) each.open = true;
}

function drawProblems() {
  const told = view.problems.map(each => make("li", { class: "problem" }, make("button", {
    class: "problem", onclick: () => goTo(each.path.length ? each.path : ["text"]),
  }, `${each.path.join(".")}${each.path.length ? ": " : ""}${each.message}${each.line ? ` (line ${each.line})` : ""}`)));
  const fine = told.length ? [] : [make("li", { class: "ok" }, `No errors. ${view.facts ?? ""}`)];
  at("problems").replaceChildren(...told, ...fine, ...view.notes.map(each => make("li", { class: "note" }, `Note: ${each}`)));
}

function goTo(path) {
  section = path[0];
  for (let n = 1; n <= path.length; n++) opened.add(key(path.slice(0, n)));
  draw();
  let n = path.length, place;
  const rows = [...document.querySelectorAll("[data-path]")];
  while (n > 0 && !place) place = rows.find(each => each.dataset.path === key(path.slice(0, n--)));
  place?.scrollIntoView({ block: "center" });
}

function draw() {
  drawSections();
  drawForm();
  markProblems();
  drawProblems();
}

function show(next) {
  const graph = next.graph ?? view?.graph ?? null, small = view?.small ?? {};
  const focused = document.activeElement?.getAttribute("aria-label");
  view = { ...next, graph };
  at("file").textContent = view.file;
  at("saved").textContent = view.saved ? "saved" : "not saved";
  at("undo").disabled = !view.undo;
  for (const [id, path] of [["until", "time.until"], ["shape", "grid.shape"]])
    if (view.small[path] !== undefined && (at(id).value === "" || at(id).value === (small[path] ?? ""))) at(id).value = view.small[path];
  const parts = ["states", "groups", "fields", "traits"].flatMap(name => Object.keys(view.data[name] ?? {}))
    .concat(Object.keys(view.data.body?.quantities ?? {}));
  at("names").replaceChildren(...[...new Set(parts)].map(name => make("option", { value: name })));
  draw();
  drawGraph();
  if (focused) [...document.querySelectorAll("[aria-label]")].find(each => each.getAttribute("aria-label") === focused)?.focus();
}

// The graph: tissue cells, immune cells and the body in columns, rules as arrows

function svg(tag, attributes = {}, ...inner) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes))
    name.startsWith("on") ? made.addEventListener(name.slice(2), value) : made.setAttribute(name, value);
  made.append(...inner);
  return made;
}

function drawGraph() {
  if (!view.graph) return at("graph").replaceChildren();
  const rows = ["tissue", "immune", "body"].filter(row => view.graph.nodes.some(node => node.row === row));
  const width = 640, margin = 70, wide = 116, tall = 20, step = 30;
  const place = {}, counts = {};
  for (const node of view.graph.nodes) {
    const column = rows.indexOf(node.row), y = 14 + step * (counts[node.row] = (counts[node.row] ?? -1) + 1);
    const x = rows.length === 1 ? (width - wide) / 2 : margin + column * (width - 2 * margin - wide) / (rows.length - 1);
    place[node.id] = { x, y, column };
  }
  const height = 28 + step * Math.max(1, ...Object.values(counts).map(n => n + 1));
  const several = new Map();
  for (const edge of view.graph.edges) {
    const ends = `${edge.from} ${edge.to}`;
    several.set(ends, [...(several.get(ends) ?? []), edge]);
  }
  const lines = [...several.values()].map(edges => {
    const from = place[edges[0].from], to = place[edges[0].to], side = from.column === to.column;
    let path;
    if (side) {
      const left = from.column === 0, x = left ? from.x : from.x + wide, out = Math.min(18 + 9 * Math.abs(from.y - to.y) / step, margin * 1.3);
      const bend = x + (left ? -out : out), dy = edges[0].from === edges[0].to ? 7 : 0;
      path = `M${x},${from.y - dy} C${bend},${from.y - dy} ${bend},${to.y + dy} ${x},${to.y + dy}`;
    } else {
      const right = to.column > from.column, x1 = right ? from.x + wide : from.x, x2 = right ? to.x : to.x + wide, half = (x1 + x2) / 2;
      path = `M${x1},${from.y} C${half},${from.y} ${half},${to.y} ${x2},${to.y}`;
    }
    const names = edges.map(edge => edge.rule).join(", ");
    return svg("path", {
      d: path, class: "edge", "marker-end": "url(#tip)", "data-rule": names,
      onmouseenter: () => { at("edge").textContent = names; },
      onclick: () => edges[0].path.length && goTo(edges[0].path),
    }, svg("title", {}, names));
  });
  const nodes = view.graph.nodes.map(node => {
    const { x, y } = place[node.id];
    const name = node.name.length > 17 ? node.name.slice(0, 16) + "…" : node.name;
    const light = parseInt(node.colour.slice(1, 3), 16) + 2 * parseInt(node.colour.slice(3, 5), 16) + parseInt(node.colour.slice(5, 7), 16) > 520;
    return svg("g", { class: "node", onclick: () => node.path.length && goTo(node.path) },
      svg("rect", { x, y: y - tall / 2, width: wide, height: tall, rx: 5, fill: node.colour }),
      svg("text", { x: x + wide / 2, y: y + 4, "text-anchor": "middle", style: light ? "" : "fill: #fff" }, name), svg("title", {}, node.name));
  });
  const tip = svg("defs", {}, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" },
    svg("path", { d: "M0,0 L8,4 L0,8 z", fill: "#7a8496" })));
  at("graph").replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}` }, tip, ...lines, ...nodes));
}

// The small run

async function follow() {
  const run = await ask("run");
  drawCurves(run);
  at("progress").textContent = run.state === "running"
    ? `${((run.minutes?.at(-1) ?? 0) / 60).toFixed(1)} of ${(run.until / 60).toFixed(1)} hours` : run.state === "none" ? "" : `${run.state}: ${run.message}`;
  at("progress").dataset.state = run.state;
  if (run.state === "running") setTimeout(follow, 300);
}

function drawCurves(run) {
  if (!run.minutes?.length) return at("curves").replaceChildren();
  const width = 540, height = 240, left = 56, bottom = 34, right = 110, top = 10;
  const log = at("log").checked, scale = n => log ? Math.log10(1 + n) : n;
  const most = Math.max(1, ...Object.values(run.cells).flat().map(scale)), end = Math.max(run.minutes.at(-1), 1e-9);
  const x = t => left + (width - left - right) * t / end, y = n => height - bottom - (height - bottom - top) * scale(n) / most;
  const colours = Object.fromEntries((view.graph?.nodes ?? []).map(node => [node.name, node.colour]));
  const shown = Object.entries(run.cells).filter(([name]) => name !== "empty" && name !== "none");
  const ends = shown.map(([name, values]) => ({ name, y: y(values.at(-1)) })).sort((a, b) => a.y - b.y);
  ends.forEach((each, i) => { if (i) each.y = Math.max(each.y, ends[i - 1].y + 13); });
  const low = Math.max(0, (ends.at(-1)?.y ?? 0) - (height - 6));
  const parts = shown.map(([name, values]) => svg("polyline", {
    fill: "none", stroke: colours[name] ?? "#555", "stroke-width": 2, "data-state": name,
    points: values.map((n, i) => `${x(run.minutes[i])},${y(n)}`).join(" "),
  }));
  const labels = ends.map(each => svg("text", { x: width - right + 6, y: each.y - low + 4, style: `fill: ${colours[each.name] ?? "#555"}` }, each.name));
  const top_ = Math.round(log ? 10 ** most - 1 : most);
  at("curves").replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}` },
    svg("path", { d: `M${left},${top} V${height - bottom} H${width - right}`, fill: "none", stroke: "#555" }),
    svg("text", { x: left - 5, y: top + 8, "text-anchor": "end" }, top_.toLocaleString("en")),
    svg("text", { x: left - 5, y: height - bottom, "text-anchor": "end" }, "0"),
    svg("text", { x: left, y: height - bottom + 16 }, "0"),
    svg("text", { x: width - right, y: height - bottom + 16, "text-anchor": "end" }, `${+(end / 60).toPrecision(3)} hours`),
    svg("text", { x: 12, y: height / 2, transform: `rotate(-90 12 ${height / 2})`, "text-anchor": "middle" }, "cells"), ...parts, ...labels));
}

at("save").addEventListener("click", () => act("save"));
at("undo").addEventListener("click", () => act("undo"));
at("run").addEventListener("click", async () => {
  await act("run", { set: { "time.until": at("until").value, "grid.shape": at("shape").value }, backend: at("backend").value });
  follow();
});
at("stop").addEventListener("click", async () => { await act("stop"); follow(); });
at("log").addEventListener("change", async () => drawCurves(await ask("run")));
window.addEventListener("beforeunload", event => { if (view && !view.saved) event.preventDefault(); });
history.replaceState(null, "", location.pathname);

({ schema, library } = await ask("schema"));
schema.extends = {
  description: "Files and parts of the library over which this one is laid, in their order.",
  anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
};
at("parts").replaceChildren(...Object.values(library).flatMap(each => Object.entries(each))
  .map(([name, about]) => make("option", { value: name }, about)));
show(await ask("draft"));
follow();
