/* What the page shows, made of the plan's files: programs with steps, buffers, graph nodes, and the indices between them.
   Assumes the object of compiler/report.c: a validated plan, every text as a string. */
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const PLAN = DATA.plan;

/* ---- numbers ---- */
const scaled = (x, steps, digits = 3) => {
  for (const [size, unit] of steps) if (x >= size) return (x / size).toPrecision(Math.max(digits,
    String(Math.round(x / size)).length)) + " " + unit;
  const [size, unit] = steps[steps.length - 1];
  return (x ? (x / size).toPrecision(digits) : "0") + " " + unit;
};
const showBytes = x => scaled(x, [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]]);
const showFlops = x => scaled(x, [[1e12, "TFLOP"], [1e9, "GFLOP"], [1e6, "MFLOP"], [1e3, "kFLOP"], [1, "FLOP"]]);
const showTime = s => scaled(s, [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]);
const showCount = (n, one, many = one + "s") => `${n} ${n === 1 ? one : many}`;
const showPercent = x => !(x > 0) ? "0 %" : x < 0.001 ? "<0.1 %" : (100 * x).toFixed(x < 0.1 ? 1 : 0) + " %";

/* ---- time of a launch on a device: the roofline of runtime/predict.c ---- */
function partsOn(d, s) {
  const speed = { tf32: 1, bf16: 2, f16: 2 }[s.k.precision || PLAN.precision] || 0;
  const matrix = speed ? Math.max(d.matrix_half * speed / 2, d.matrix_f32) : d.matrix_f32;
  return { compute: s.flops / (s.k.class !== "contract" ? d.element : matrix),
    memory: s.bytes / d.bytes, launch: d.launch };
}
const timeOn = (d, s) => { const t = partsOn(d, s); return Math.max(t.compute, t.memory) + t.launch; };
const boundBy = (d, s) => Object.entries(partsOn(d, s)).reduce((a, b) => b[1] > a[1] ? b : a)[0];

/* ---- graph texts (docs/graph.md) ---- */
const HEX = /-?0x([\da-f]+)(?:\.([\da-f]*))?p([-+]?\d+)/g;
const decimal = text => text.replace(HEX, (all, whole, part = "", power) => {
  const x = parseInt(whole + part, 16) * 2 ** (power - 4 * part.length);
  return String(+(all[0] === "-" ? -x : x).toPrecision(7));
});
/* id, operation, attributes and operands, shape, bool, precision, held, into, file, line, column, instance path */
const QUOTED = String.raw`"(?:[^"\\]|\\.)*"`;
const NODE = new RegExp(String.raw`^%(\d+) = (\w+) ?(.*?) ?(\[[^\]]*\])( bool)?(?: precision (\w+))?( held)?(?: into %(\d+))?` +
  String.raw`(?: @(${QUOTED}|[^\s"]+?):(\d+)(?::(\d+))?)?(?: (${QUOTED}))?$`);
const quoted = s => s && s[0] === '"' ? JSON.parse(s) : s || "";
const VIEWS = new Set(["rename", "rearrange", "slice", "pick", "pad", "concat", "repeat", "window", "unwindow", "expand"]);
const SOURCES = new Set(["input", "param", "const", "scalar", "iota", "draw"]);

function readGraph(text) {
  const g = { nodes: new Map(), outs: [] };
  for (const line of text.split("\n")) {
    const out = /^out ("(?:[^"\\]|\\.)*") %(\d+)$/.exec(line);
    if (out) { g.outs.push({ name: JSON.parse(out[1]), node: +out[2] }); continue; }
    const m = NODE.exec(line);
    if (!m) continue;
    const bare = m[3].replace(/"(?:[^"\\]|\\.)*"/g, "");
    g.nodes.set(+m[1], {
      id: +m[1], op: m[2], text: decimal(m[3].replace(/ ?%\d+/g, "").trim()), shape: m[4],
      in: [...bare.matchAll(/%(\d+)/g)].map(x => +x[1]),
      precision: m[6], held: !!m[7], file: quoted(m[9]), line: +m[10] || 0, path: quoted(m[12]), steps: [], backward: false,
    });
  }
  markBackward(g);
  return g;
}

/* Backward: whatever no output but the gradients needs. A program without gradients has none. */
function markBackward(g) {
  if (!g.outs.some(o => o.name.startsWith("grad."))) return;
  const needed = new Set(), stack = g.outs.filter(o => !o.name.startsWith("grad.")).map(o => o.node);
  while (stack.length) {
    const id = stack.pop();
    if (needed.has(id)) continue;
    needed.add(id);
    stack.push(...(g.nodes.get(id)?.in || []));
  }
  for (const n of g.nodes.values()) n.backward = !needed.has(n.id);
}

/* ---- kernels: slots read and written, from the C text's own declarations ---- */
/* A text that loops over instances takes them from `buf`, the share of one. */
const SLOT = /^[ \t]*(const )?[\w ]+\*[^=;/\n]*?(\w+) = (?:\([^)]*\)\s*)?(?:args->)?buf\[(\d+)\];(?:\s*\/\* (\[[^\]]*\]))?/gm;
function kernelInfo(k) {
  if (k.slots) return k;
  k.text = DATA.kernels[k.file] || "";
  k.slots = [];
  for (const m of k.text.matchAll(SLOT)) k.slots[+m[3]] = { name: m[2], writes: !m[1], layout: m[4] || "" };
  k.leaf = (/^   leaf       (.*?)(?: \*\/)?$/m.exec(k.text) || [])[1] || "";
  k.computes = (/^   computes   (.*)$/m.exec(k.text) || [])[1] || "";
  k.stem = k.name.replace(/_[0-9a-f]{8,}$/, "");
  return k;
}

/* ---- programs ---- */
const segmentByName = new Map(PLAN.programs.flatMap(p => p.segments.map(s => [s.name, s])));
const bufferBytes = b => b.elements * (b.type === "bf16" ? 2 : 4);

/* Segments one after another: steps are numbered through, buffers know the steps that use them. */
function openProgram(program) {
  const P = { name: program.name, program, steps: [], buffers: [], segments: [], lines: new Map(), flops: 0, bytes: 0, peak: 0 };
  for (const seg of program.segments) {
    const from = seg.same_as ? segmentByName.get(seg.same_as) : seg, base = P.steps.length,
      graph = readGraph(DATA.graphs[from.fused] || "");
    const S = { name: seg.name, index: P.segments.length, each: seg.each, base, graph, peak: seg.peak_bytes,
      draws: from.draws, n: from.steps.length };
    const buffers = from.buffers.map((b, i) => ({ b, i, S, steps: [],
      node: graph.nodes.get(+(/^v(\d+)$/.exec(b.name) || [])[1]) }));
    from.steps.forEach((s, i) => {
      const k = kernelInfo(PLAN.kernels[s.kernel]), nodes = s.nodes.map(id => graph.nodes.get(id)).filter(Boolean);
      const step = { n: base + i, S, s, k, nodes, path: s.path || "", backward: nodes.some(n => n.backward),
        instances: s.instances || 1, buffers: s.buffers.map(q => buffers[q]) };
      step.flops = step.instances * k.flops;
      step.bytes = s.bytes ?? step.instances * k.bytes;
      step.slots = step.buffers.map((q, i) => k.slots[i % (step.buffers.length / step.instances)]);
      for (const n of nodes) n.steps.push(step);
      for (const q of new Set(step.buffers)) q.steps.push(step);
      for (const line of s.source) P.lines.get(line)?.push(step) ?? P.lines.set(line, [step]);
      step.words = [k.name, k.class, step.path, ...s.source, ...nodes.map(n => n.op),
        ...step.buffers.map(q => q.b.name)].join(" ").toLowerCase();
      P.steps.push(step);
    });
    P.segments.push(S);
    P.buffers.push(...buffers);
    P.flops += seg.flops;
    P.bytes += seg.bytes;
    P.peak = Math.max(P.peak, seg.peak_bytes);
  }
  for (const q of P.buffers) {
    if (q.b.kind !== "arena" || q.b.first < 0) continue;
    q.from = q.S.base + q.b.first;
    q.to = q.S.base + q.b.last;
    const a = P.steps[q.from].backward, z = P.steps[q.to].backward;
    q.role = a ? "backward" : z ? "kept" : "forward";
  }
  for (const S of P.segments) {
    const live = new Float64Array(S.n + 1);
    for (const q of P.buffers) if (q.S === S && q.from !== undefined) { live[q.b.first] += bufferBytes(q.b);
      live[q.b.last + 1] -= bufferBytes(q.b); }
    for (let i = 1; i < live.length; i++) live[i] += live[i - 1];
    S.live = live.subarray(0, S.n);
    S.top = S.live.reduce((best, x, i) => x > S.live[best] ? i : best, 0);
  }
  P.top = P.segments.filter(S => S.n).reduce((best, S) => !best || S.live[S.top] > best.live[best.top] ? S : best, null);
  return P;
}

/* The instance tree: groups by the parts of a node's path, members in the order of computation. */
function instanceTree(P) {
  const root = { name: "", path: "", kids: new Map(), items: [], nodes: 0, steps: new Set() };
  for (const S of P.segments) {
    for (const n of S.graph.nodes.values()) {
      const parts = n.path ? n.path.split(".") : [n.backward ? "program, backward" : "program"];
      if (P.segments.length > 1) parts.unshift(S.name);
      let at = root, path = "";
      for (const part of parts) {
        path += "\u0000" + part;
        let kid = at.kids.get(part);
        if (!kid) {
          kid = { name: part, path, kids: new Map(), items: [], nodes: 0, steps: new Set(), up: at };
          at.kids.set(part, kid);
          at.items.push(kid);
        }
        at = kid;
        at.nodes++;
        for (const s of n.steps) at.steps.add(s);
      }
      at.items.push(n);
      n.group = at;
    }
  }
  return root;
}

/* ---- texts: files by the name that steps give them ---- */
function sourceFiles() {
  const names = new Map();
  for (const p of PLAN.programs) for (const s of p.segments) for (const st of s.steps || []) for (const line of st.source) {
    const file = line.replace(/:\d+$/, "");
    names.set(file.replace(/^.*\//, ""), file);
  }
  const own = f => f.name.startsWith("std/") ? 1 : 0;
  return DATA.sources.map(f => ({ name: names.get(f.name) || f.name, lines: f.text.replace(/\n$/, "").split("\n") })).sort((a,
    b) => own(a) - own(b));
}
