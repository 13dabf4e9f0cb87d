/* The detail pane: the program as a whole, a line of the text, a kernel launch, or a node without one.
   Assumes panes.js and the view of main.js. */
"use strict";

const fact = (name, value, note) => [h("dt", {}, name), h("dd", {}, value, note ? h("small", {}, " ", note) : null)];
const lineLink = line => h("a", { class: "link", "data-go-line": line }, line);
const stepLink = s => h("a", { class: "link step" + (s.backward ? " backward" : ""), "data-go-step": String(s.n),
  title: `${s.k.stem} ${s.path}` }, "#" + s.n);

function drawDetail(view) {
  const box = pane("detail");
  const what = view.line ? lineDetail(view) : view.step ? stepDetail(view) : view.node ? nodeDetail(view) : overview(view);
  $("#detail-title").textContent = what.title;
  $("#clear").hidden = !view.line && !view.step && !view.node;
  box.replaceChildren(...what.body.flat().filter(Boolean));
  box.scrollTop = 0;
}
function stepLinks(steps, here) {
  const most = 40, links = steps.slice(0, most).flatMap(x => [x === here ? h("b", {}, "#" + x.n) : stepLink(x), " "]);
  return steps.length > most ? [...links, h("small", {}, `and ${steps.length - most} more`)] : links;
}

function topSteps(steps, view, n) {
  const best = [...steps].sort((a, b) => b.time - a.time || a.n - b.n).slice(0, n), top = best.length ? best[0].time : 1;
  return h("div", { class: "rank" }, best.map(s => h("div", { class: "row link", "data-go-step": String(s.n) },
    h("span", { class: "dim num" }, "#" + s.n), h("span", { class: "name" }, stemAndPath(s)),
    h("span", { class: "share" + (s.backward ? " backward" : "") }, barOf(s.time / top)),
      h("span", { class: "num" }, showTime(s.time)))));
}
function shares(groups, total) {
  return h("div", { class: "rank" }, groups.map(([name, steps, cls]) => {
    const t = steps.reduce((a, s) => a + s.time, 0);
    return h("div", { class: "row" }, h("span", { class: "name" }, name), h("span", { class: "dim num" }, String(steps.length)),
      h("span", { class: "share " + (cls || "") }, barOf(t / (total || 1))), h("span", { class: "num" }, showTime(t)));
  }));
}

function overview(view) {
  const P = view.P, by = f => [...P.steps.reduce((m, s) => m.set(f(s), [...(m.get(f(s)) || []), s]), new Map())];
  const params = PLAN.parameters.reduce((a, p) => a + p.shape.reduce((x, y) => x * y, 1), 0);
  const back = P.steps.filter(s => s.backward);
  const body = [h("dl", { class: "facts" },
    fact("model", PLAN.model, `batch ${PLAN.batch}`),
    fact("parameters", params.toLocaleString("en"), `in ${PLAN.parameters.length} tensors`),
    fact("program", P.name, P.segments.length > 1 ? P.segments.map(S => S.name + (S.each ? ` (for each of ${S.each})` :
      "")).join(", ") : ""),
    fact("arithmetic", showFlops(P.flops)), fact("moved", showBytes(P.bytes), "if nothing stays in caches"),
      fact("peak memory", showBytes(P.peak), "arena, without parameters"),
    fact("predicted", showTime(view.total), `on ${view.device.what}`))];
  const d = view.device, rate = x => showFlops(x).replace("FLOP", "FLOP/s");
  body[0].append(...fact("device", "", `${rate(d.matrix_f32)} in contractions (${rate(d.matrix_half)} on 2-byte operands), ` +
    `${rate(d.element)} elsewhere, ${showBytes(d.bytes)}/s, ` +
    `${showTime(d.launch)} a launch`));
  if (!P.steps.length) return { title: "Overview",
    body: [body, h("p", { class: "empty" }, "This program is run by the interpreter; it has no kernels.")] };
  body.push(h("h4", {}, "Where the time goes"), shares([...by(s => s.k.class).map(([c, v]) => [c, v]),
    ...(back.length ? [["forward", P.steps.filter(s => !s.backward), "forward"], ["backward", back, "backward"]] : [])],
      view.total));
  body.push(h("h4", {}, "Bound by"), shares(by(s => boundBy(view.device, s)), view.total));
  body.push(h("h4", {}, "Longest launches"), topSteps(P.steps, view, 12));
  body.push(h("h4", {}, "Configuration"), h("dl", { class: "facts tight" }, PLAN.config.map(c => fact(c[0], c[1]))));
  return { title: "Overview", body };
}

function lineDetail(view) {
  const steps = view.P.lines.get(view.line) || [], [, file, no] = /^(.*):(\d+)$/.exec(view.line),
    f = FILES.find(x => x.name === file);
  const text = f ? f.lines[no - 1] : "", time = steps.reduce((a, s) => a + s.time, 0), back = steps.filter(s => s.backward);
  const body = [h("pre", { class: "quote" }, coloured(text.trim(), DSL_TOKENS))];
  if (!steps.length) {
    const words = new Set(text.replace(/#.*/, "").match(/[A-Za-z_]\w*/g) || []), names = new Map();
    for (const s of view.P.steps) { const w = s.path.split(".").pop(); if (words.has(w)) names.set(w, (names.get(w) || 0) + 1); }
    body.push(h("p", { class: "empty" }, "No kernel of this program computes an operation written on this line."));
    if (names.size) body.push(h("h4", {}, "Instances it names"), h("p", {}, [...names].map(([w, n]) =>
      h("a", { class: "link chip", "data-go-search": "." + w }, `${w}: ${showCount(n, "kernel")}`))));
    return { title: view.line, body };
  }
  body.push(h("dl", { class: "facts" }, fact("kernels", String(steps.length),
    back.length ? `${steps.length - back.length} forward, ${back.length} backward` : ""),
    fact("together", showTime(time),
      `${showPercent(time / view.total)} of ${view.P.name} on ${view.device.what}, other lines of these kernels included`),
    fact("arithmetic", showFlops(steps.reduce((a, s) => a + s.flops, 0))),
      fact("moved", showBytes(steps.reduce((a, s) => a + s.bytes, 0)))));
  for (const [name, v] of [["Forward", steps.filter(s => !s.backward)], ["Backward", back]])
    if (v.length) body.push(h("h4", {}, name,
      h("small", {}, ` ${v.length > 30 ? "30 longest of " : ""}${showCount(v.length, "kernel")}`)), topSteps(v, view, 30));
  return { title: view.line, body };
}

function bufferRow(step, q, slot) {
  const info = step.slots[slot], b = q.b;
  const writes = info ? info.writes : b.kind === "arena" && q.from === step.n;
  const own = b.shape && b.roles ? `[${b.roles.map((r, i) => `${r}:${b.shape[i]}`).join(", ")}]` : "";
  const shape = own || info?.layout || q.node?.shape || "";
  const param = b.kind === "param" ? PLAN.parameters.find(p => p.offset === b.offset) : null;
  const kind = b.kind !== "arena" ? b.kind : q.role === "kept" ? "kept for backward" : "arena";
  return h("tr", { class: writes ? "writes" : "" }, h("td", {}, writes ? "writes" : "reads"),
    h("td", {}, h("code", {}, b.name || (param ? param.name : b.kind)),
      h("small", {}, kind, " ", h("code", {}, shape))),
    h("td", { class: "num" }, showBytes(bufferBytes(b)),
      h("small", {}, b.type || "f32", q.from !== undefined ? ` #${q.from} to #${q.to}` : "")));
}
/* A node that no kernel computes: a parameter, an input, a constant. */
function nodeDetail(view) {
  const n = view.node, S = view.P.segments.find(x => x.graph.nodes.get(n.id) === n),
    readers = [...S.graph.nodes.values()].filter(x => x.in.includes(n.id));
  const steps = [...new Set(readers.flatMap(x => x.steps))].sort((a, b) => a.n - b.n);
  return { title: `%${n.id} ${n.op}`, body: [h("pre", { class: "quote" }, nodeText(n)), h("dl", { class: "facts" },
    n.file ? fact("line", lineLink(`${n.file}:${n.line}`)) : [], n.path ? fact("instance", n.path) : [],
    fact("read by", steps.length ? stepLinks(steps) : "no kernel"))] };
}

function stepDetail(view) {
  const s = view.step, k = s.k, same = view.P.steps.filter(x => x.k === k), title = `#${s.n} ${k.stem}${times(s)}`;
  const lives = new Set(s.buffers), n = s.instances, each = s.buffers.length / n;
  const body = [h("p", { class: "lead" }, h("span", { class: "pill " + k.class }, k.class),
    h("span", { class: "pill " + (s.backward ? "backward" : "forward") }, s.backward ? "backward" : "forward"),
    h("code", {}, s.path || s.S.name))];
  body.push(h("dl", { class: "facts" },
    fact("predicted", showTime(s.time),
      `${showPercent(s.time / view.total)} of ${view.P.name}; bound by ${boundBy(view.device, s)} on ${view.device.what}`),
    fact("arithmetic", showFlops(s.flops), `${(k.flops / Math.max(1, k.bytes)).toFixed(1)} FLOP/byte`),
      fact("moved", showBytes(s.bytes), k.issued_bytes >= 0 ? `${showBytes(n * k.issued_bytes)} with re-reads` : ""),
    n > 1 ? fact("launch of", `${n} instances`, `${showFlops(k.flops)}, ${showBytes(k.bytes)} each`) : [],
    k.scratch || k.shared ? fact("scratch", showBytes(k.scratch), `a thread; ${showBytes(k.shared)} a launch`) : [],
    k.computes ? fact("computes", k.computes.replace(/ +/g, " ")) : [], k.leaf ? fact("leaf", k.leaf) : [],
    fact("lines", s.s.source.map(x => [lineLink(x), " "]).flat()),
    s.s.draws.length ? fact("draws", s.s.draws.map(d => s.S.draws[d].name).join(", ")) : [],
    fact("launches", same.length > 1 ? stepLinks(same, s) : "this one")));
  body.push(h("h4", {}, "Buffers", h("small", {}, ` ${showCount(lives.size, "buffer")}`)),
    h("div", { class: "wide" }, h("table", { class: "buffers" }, h("tbody", {}, s.buffers.flatMap((q, i) => [
      n > 1 && i % each === 0 ? h("tr", { class: "instance" }, h("th", { colspan: "3" }, `instance ${i / each + 1} of ${n}`)) :
        null, bufferRow(s, q, i)])))));
  body.push(h("h4", {}, k.file), h("pre", { class: "code" }, coloured(k.text, C_TOKENS)));
  return { title, body };
}
