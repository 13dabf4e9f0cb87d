/* The panes: model text, graph by instance, kernels, detail. Each has a draw function and one that marks what is selected.
   Assumes data.js; everything enters the page as text nodes. */
"use strict";

const $ = s => document.querySelector(s);
function h(tag, attrs, ...kids) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k === "style") e.style.cssText = v; else e.setAttribute(k, v);
  }
  e.append(...kids.flat().filter(x => x !== undefined && x !== null && x !== false));
  return e;
}
const pane = name => $(`#${name} .scroll`);
/* Within its own pane only; the page itself never scrolls. */
function reveal(e, box) {
  if (!e) return;
  const r = e.getBoundingClientRect(), b = box.getBoundingClientRect(), head = 30;
  if (r.top < b.top + head || r.bottom > b.bottom - 8) box.scrollTop += r.top - b.top - Math.max(head, (b.height - r.height) / 3);
}
const barOf = x => h("i", { class: "fill", style: `width:${(100 * Math.min(1, x)).toFixed(2)}%` });

/* ---- syntax colours: [comment, string, word, number, call] in one sweep ---- */
const tokens = (comment, string, words, number) =>
  new RegExp(String.raw`(${comment})|(${string})|\b(${words.replace(/ /g, "|")})\b|\b(${number})\b|\b([A-Za-z_]\w*)(?=\()`, "gm");
const DSL_TOKENS = tokens("#.*", QUOTED,
  "import config stream block fn use as was let var const param return if else rows for in like from by rearrange share precision each " +
  "state runtime program train training optimizer ema loss sample data minimize gradient report true false",
  String.raw`\d[\d.]*(?:e[-+]?\d+)?`);
const C_TOKENS = tokens(String.raw`\/\*[\s\S]*?\*\/|\/\/.*`, QUOTED + "|^#.*$",
  "void const float double int int64_t uint64_t uint32_t uint16_t long char bool size_t restrict static inline for while if " +
  "else return break continue struct EctArgs", String.raw`0x[\da-fA-F.]+(?:p[-+]?\d+)?f?|\d[\d.]*(?:e[-+]?\d+)?f?`);
const TOKEN_CLASS = ["comment", "string", "word", "number", "call"];
function coloured(text, pattern) {
  const out = [];
  let at = 0;
  for (const m of text.matchAll(pattern)) {
    if (m.index > at) out.push(text.slice(at, m.index));
    out.push(h("span", { class: "t-" + TOKEN_CLASS[m.slice(1).findIndex(x => x !== undefined)] }, m[0]));
    at = m.index + m[0].length;
  }
  out.push(text.slice(at));
  return out;
}

/* ---- model text ---- */
const FILES = sourceFiles();
function drawSource(view) {
  const total = view.total || 1;
  pane("source").replaceChildren(...FILES.map(f => h("div", { class: "file" }, h("h3", {}, f.name), f.lines.map((text, i) => {
    const key = `${f.name}:${i + 1}`, steps = view.P.lines.get(key) || [], share = steps.reduce((a, s) => a + s.time, 0) / total;
    return h("div", { class: "line" + (steps.length ? " live" : ""), "data-line": key, title: steps.length ?
      `${showCount(steps.length, "kernel launch", "kernel launches")}, ${showPercent(share)} of the predicted time` : undefined },
      h("span", { class: "heat" }, barOf(share)), h("span", { class: "no" }, String(i + 1)),
        h("code", {}, coloured(text, DSL_TOKENS)));
  }))));
  const lit = [...view.P.lines.keys()].length;
  $("#source-note").textContent = `${showCount(lit, "line")} of this program; the bar is the share of its time`;
}
function markSource(view, scroll) {
  const lines = new Set(view.line ? [view.line] : view.step ? view.step.s.source : []);
  let first = null, at = null;
  for (const e of pane("source").querySelectorAll(".line")) {
    const on = lines.has(e.dataset.line);
    e.classList.toggle("on", on);
    if (on) first = first || e;
    if (on && view.step && view.step.s.at === e.dataset.line) at = e;
  }
  if (scroll) reveal(at || first, pane("source"));
}

/* ---- graph ---- */
function drawGraph(view) {
  view.tree = instanceTree(view.P);
  view.open = new Set();
  for (let at = view.tree; at;) {                    /* down to where it branches */
    const kids = [...at.kids.values()].sort((a, b) => b.nodes - a.nodes), next = at === view.tree || kids.length === 1 ?
      kids[0] : at.kids.get("model");
    if (next) view.open.add(next.path);
    at = next;
  }
  const n = view.P.segments.reduce((a, S) => a + S.graph.nodes.size, 0);
  $("#graph-note").textContent = `${n} nodes by instance`;
  pane("graph").replaceChildren(...groupRows(view, view.tree, 0));
}
function groupRows(view, group, depth) {
  return group.items.flatMap(item => item.kids ? groupRow(view, item, depth) : nodeRow(item, depth));
}
function groupRow(view, g, depth) {
  let time = 0, back = 0;
  for (const s of g.steps) { time += s.time; back += s.backward; }
  const open = view.open.has(g.path), row = h("div", { class: "group" + (open ? " open" : ""), style: `--d:${depth}` },
    h("span", { class: "name" }, h("i", { class: "twist" }), g.name), h("span", { class: "dim nodes" }, `${g.nodes} nodes`),
      h("span", { class: "grow" }),
    h("span", { class: "dim" }, back && back < g.steps.size ? `${g.steps.size - back} + ${back} kernels` :
      showCount(g.steps.size, "kernel")),
    h("span", { class: "share", title: "share of the predicted time of kernels that compute something here" },
      barOf(time / (view.total || 1))),
    h("span", { class: "num" }, showTime(time)));
  row.group = g;
  g.row = row;
  return open ? [row, ...groupRows(view, g, depth + 1)] : [row];
}
const nodeText = n => [`%${n.id} = ${n.op}`, n.text, ...n.in.map(x => "%" + x), n.shape, n.precision, n.held && "held in memory",
  n.file && `  ${n.file}:${n.line}`].filter(Boolean).join(" ");
function nodeRow(n, depth) {
  const kind = SOURCES.has(n.op) ? " source" : VIEWS.has(n.op) ? " view" : "";
  const row = h("div", { class: "node" + kind + (n.backward ? " backward" : ""), style: `--d:${depth}`, title: nodeText(n) },
    h("span", { class: "id" }, "%" + n.id), h("b", {}, n.op), h("span", { class: "attr" }, n.text),
      h("span", { class: "in" }, n.in.map(x => "%" + x).join(" ")),
    h("span", { class: "grow" }), h("span", { class: "shape" }, n.shape),
    n.steps.length ? h("span", { class: "chip" + (n.held ? " held" : "") }, "#" + n.steps[0].n + (n.steps.length > 1 ? ` +${n.steps.length - 1}` : "")) :
      h("span", { class: "chip none" }, "–"));
  row.node = n;
  n.row = row;
  return [row];
}
/* Replaces the rows below a group's row; rows of closed groups do not exist, so a large graph stays light. */
function toggleGroup(view, g, open = !view.open.has(g.path)) {
  if (open) view.open.add(g.path); else view.open.delete(g.path);
  const row = g.row, depth = +row.style.getPropertyValue("--d");
  while (row.nextSibling && +row.nextSibling.style.getPropertyValue("--d") > depth) row.nextSibling.remove();
  row.classList.toggle("open", open);
  if (open) row.after(...groupRows(view, g, depth + 1));
}
function openTo(view, group) {
  const chain = [];
  for (let g = group; g && g.up; g = g.up) chain.unshift(g);
  for (const g of chain) if (!view.open.has(g.path)) toggleGroup(view, g, true);
}
function markGraph(view, scroll) {
  const box = pane("graph"), nodes = new Set(view.node ? [view.node] : view.step ? view.step.nodes : []), marked = view.marked;
  const main = view.node || (view.step && view.step.nodes[view.step.nodes.length - 1]);
  if (scroll && main) openTo(view, main.group);
  const holds = g => { for (const s of marked) if (g.steps.has(s)) return true; return false; };
  for (const e of box.children) {
    e.classList.toggle("on", e.node ? nodes.has(e.node) : false);
    e.classList.toggle("mark", e.node ? e.node.steps.some(s => marked.has(s)) &&
      (!view.line || `${e.node.file}:${e.node.line}` === view.line) : holds(e.group));
  }
  if (scroll) reveal(main ? main.row : box.querySelector(".mark"), box);
}

/* ---- kernels ---- */
/* The end of a path tells more than its beginning: the ellipsis is on the left. */
const times = s => s.instances > 1 ? ` ×${s.instances}` : "";
const stemAndPath = s => h("span", { class: "two", title: s.path }, h("b", {}, s.k.stem + times(s)), h("span", { class: "path" },
  s.path.replace(/^model\./, "")));
const COLUMNS = [
  { key: "n", head: "#", of: s => s.n, show: s => String(s.n), cls: "num dim" },
  { key: "kernel", head: "kernel", of: s => s.k.name, show: s => stemAndPath(s), cls: "name" },
  { key: "flops", head: "FLOP", of: s => s.flops, show: s => showFlops(s.flops).replace("FLOP", ""), cls: "num" },
  { key: "bytes", head: "bytes", of: s => s.bytes, show: s => showBytes(s.bytes), cls: "num" },
  { key: "time", head: "time", of: s => s.time, show: s => [h("span", { class: "share" }, s.share), showTime(s.time)],
    cls: "num time" },
];
function drawKernels(view) {
  const query = view.query.toLowerCase().split(/\s+/).filter(Boolean), column = COLUMNS.find(c => c.key === view.sort.key);
  view.shown = view.P.steps.filter(s => query.every(q => s.words.includes(q)) && (!view.only || view.marked.has(s)));
  if (view.sort.key !== "n" || view.sort.down) {
    const sign = view.sort.down ? -1 : 1;
    view.shown.sort((a, b) => { const x = column.of(a), y = column.of(b); return sign * (x < y ? -1 : x > y ? 1 : 0) ||
      a.n - b.n; });
  }
  const top = view.P.steps.reduce((a, s) => Math.max(a, s.time), 0) || 1;
  const head = h("tr", {}, h("th", { class: "way" }), COLUMNS.map(c => h("th", { "data-key": c.key, class: c.cls.split(" ")[0] },
    c.head, view.sort.key === c.key ? (view.sort.down ? " ↓" : " ↑") : "")));
  const rows = view.shown.map(s => {
    s.share = barOf(s.time / top);
    const row = h("tr", { class: s.k.class + (s.backward ? " backward" : "") },
      h("td", { class: "way", title: s.backward ? "backward" : "forward" }, h("i")),
      COLUMNS.map(c => h("td", { class: c.cls }, c.show(s))));
    row.step = s;
    s.row = row;
    return row;
  });
  pane("kernels").replaceChildren(h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
  if (!rows.length) pane("kernels").append(h("p", { class: "empty" }, view.P.steps.length ? "No kernel matches." :
    "This program is run by the interpreter; it has no kernels."));
  noteKernels(view);
}
function noteKernels(view) {
  const n = view.P.steps.length, kinds = new Set(view.P.steps.map(s => s.k)).size, m = view.marked.size;
  const back = [...view.marked].filter(s => s.backward).length;
  $("#kernels-note").textContent = (view.shown.length < n ? `${view.shown.length} of ${n}` :
    `${showCount(n, "launch", "launches")} of ${showCount(kinds, "kernel")}`) +
    (view.line && m ? `, ${m} marked: ${m - back} forward, ${back} backward` : "");
}
function markKernels(view, scroll) {
  for (const s of view.shown) {
    s.row.classList.toggle("on", s === view.step);
    s.row.classList.toggle("mark", view.marked.has(s));
  }
  noteKernels(view);
  const first = view.step || view.shown.find(s => view.marked.has(s));
  if (scroll && first && first.row && first.row.isConnected) reveal(first.row, pane("kernels"));
}
