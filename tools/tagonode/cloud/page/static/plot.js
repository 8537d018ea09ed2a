/* global uPlot */
// One chart, drawn by uPlot: a line with gaps left open and hatched, ticks where uploads arrived, hollow points for
// readings without a time of their own.

const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);

/** A colour of style.css as the canvas wants it. */
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const two = (value) => String(value).padStart(2, "0");
function tickTexts(_, splits, __, ___, step) {
  let day = null;
  return splits.map((s) => {
    const d = new Date(s * 1000);
    const date = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    if (step >= 86_400) return date;
    const time = `${two(d.getHours())}:${two(d.getMinutes())}${step < 60 ? `:${two(d.getSeconds())}` : ""}`;
    const text = day !== null && day !== date ? `${time}\n${date}` : time;
    day = date;
    return text;
  });
}

function figure(value, step) {
  const text = String(Number(step.toPrecision(4)));
  const places = text.includes("e") ? 6 : (text.split(".")[1] ?? "").length;
  return value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }).replace("-", "−");
}

function hatch(stroke) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 10;
  const c = tile.getContext("2d");
  c.strokeStyle = stroke;
  c.lineWidth = 4;
  for (const x of [-10, 0, 10]) {
    c.beginPath();
    c.moveTo(x - 2, 12);
    c.lineTo(x + 12, -2);
    c.stroke();
  }
  return c.createPattern(tile, "repeat");
}

const SPARSE = 7; // px from point to point from which on each is drawn
let selecting = false; // one drag is told once, whatever number of charts are in step

export class Plot {
  /** `hover(index or null)`, `select(from, to)` in ms, `back()` on a double click. */
  constructor(holder, calls) {
    this.holder = holder;
    this.calls = calls;
    this.hovering = false;
    this.plot = null;
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(holder);
  }

  /** Show a series; `whole`: other axes or colours than before; `live`: its end is now. */
  show(series, { from, to, axis, whole, live }) {
    this.axis = axis;
    this.arrange(series, live);
    this.edges = [from / 1000, to / 1000];
    if (whole && this.plot) {
      this.plot.destroy();
      this.plot = null;
    }
    if (this.plot) this.plot.setData(this.data, true);
    else this.make();
  }

  /** Let time go by. */
  slide(from, to) {
    this.edges = [from / 1000, to / 1000];
    this.plot?.setScale("x", { min: this.edges[0], max: this.edges[1] });
  }

  /** Columns for uPlot: x, mean, lowest, highest; `from[i]`: which point of the series, null at an opened gap. */
  arrange(series, live) {
    const gap = series.gap;
    const order = series.t.map((_, i) => i);
    const at = this.axis === "time" ? series.t : series.a;
    if (this.axis !== "time") order.sort((p, q) => at[p] - at[q] || p - q);
    const x = [], v = [], lo = [], hi = [];
    this.from = [];
    this.gaps = [];
    let last = null;
    for (const i of order) {
      if (this.axis === "time" && last !== null && gap && at[i] - last > gap) {
        this.gaps.push([last / 1000, at[i] / 1000]);
        x.push((last + at[i]) / 2000);
        v.push(null);
        lo.push(null);
        hi.push(null);
        this.from.push(null);
      }
      x.push(at[i] / 1000);
      v.push(series.v[i]);
      lo.push(series.lo?.[i] ?? null);
      hi.push(series.hi?.[i] ?? null);
      this.from.push(i);
      last = at[i];
    }
    this.data = [x, v, lo, hi];
    // silence up to now is a gap, too
    this.quiet = live && this.axis === "time" && last !== null && gap ? [last / 1000, (last + gap) / 1000] : null;
    this.arrivals = this.axis === "time" ? [...new Set(series.a)].map((a) => a / 1000) : [];
    this.whole = series.v.every(Number.isInteger);
    this.timeless = series.raw ? series.t.map((t, i) => t === series.a[i]) : [];
  }

  make() {
    const [accent, line, muted, tick, gap, surface] = ["accent", "line", "muted", "warn", "gap", "surface"].map(colour);
    this.paint = { accent, tick, surface, muted, hatch: hatch(gap) };
    const axis = { stroke: muted, font: "12px system-ui, sans-serif", grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    const hidden = { show: true, stroke: "transparent", width: 0, points: { show: false } };
    const area = accent.replace(/^rgb\(/, "rgba(").replace(/\)$/, ", 0.22)");
    const options = {
      width: Math.max(120, this.holder.clientWidth),
      height: this.holder.clientHeight,
      legend: { show: false },
      padding: [8, 26, 0, 0],
      cursor: {
        sync: { key: "node" },
        drag: { x: true, y: false, setScale: false, dist: 6 },
        points: { size: 8, fill: accent, stroke: surface, width: 2 },
        bind: { dblclick: () => () => (this.calls.back(), null) },
      },
      scales: {
        x: { time: true, range: () => this.edges },
        y: { range: (_, low, high) => spread(low, high, this.whole) },
      },
      axes: [
        { ...axis, values: tickTexts, space: 64, size: 34 },
        { ...axis, size: 56, space: 34, values: (_, splits, __, ___, step) => splits.map((value) => figure(value, step)) },
      ],
      series: [
        {},
        { stroke: accent, width: 2, spanGaps: false, points: { show: false }, ...(this.axis === "time" ? {} : { paths: () => null }) },
        hidden,
        hidden,
      ],
      bands: [{ series: [3, 2], fill: area }],
      hooks: {
        drawClear: [(u) => this.under(u)],
        draw: [(u) => this.over(u)],
        setCursor: [(u) => this.cursor(u)],
        setSelect: [(u) => this.selected(u)],
      },
    };
    this.plot = new uPlot(options, this.data, this.holder);
  }

  under(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = this.paint.hatch;
    const open = this.quiet && this.edges[1] > this.quiet[1] ? [[this.quiet[0], this.edges[1]]] : [];
    for (const [from, to] of [...this.gaps, ...open]) {
      const left = u.valToPos(from, "x", true);
      ctx.fillRect(left, bbox.top, u.valToPos(to, "x", true) - left, bbox.height);
    }
    ctx.restore();
  }

  over(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = this.paint.tick;
    ctx.globalAlpha = 0.75;
    const shown = this.arrivals.filter((a) => a >= u.scales.x.min && a <= u.scales.x.max);
    const dense = shown.length * 5 * ratio > bbox.width; // a quiet strip in place of a wall
    if (dense) ctx.globalAlpha = 0.3;
    const tall = (dense ? 3 : 7) * ratio;
    for (const a of shown) ctx.fillRect(Math.round(u.valToPos(a, "x", true)), bbox.top + bbox.height - tall, Math.max(1, ratio), tall);
    ctx.globalAlpha = 1;
    const [x, v] = this.data;
    const [first, last] = [u.scales.x.min, u.scales.x.max];
    let visible = 0;
    for (const s of x) if (s >= first && s <= last) visible++;
    const sparse = visible * SPARSE * ratio < bbox.width || this.axis !== "time";
    for (let i = 0; i < x.length; i++) {
      if (v[i] === null || x[i] < first || x[i] > last) continue;
      const hollow = this.timeless[this.from[i]];
      const alone = v[i - 1] == null && v[i + 1] == null;
      if (!sparse && !alone && !hollow) continue;
      ctx.beginPath();
      ctx.arc(u.valToPos(x[i], "x", true), u.valToPos(v[i], "y", true), (hollow ? 3.6 : 2.6) * ratio, 0, 2 * Math.PI);
      ctx.fillStyle = hollow ? this.paint.surface : this.paint.accent;
      ctx.fill();
      if (hollow) {
        ctx.strokeStyle = this.paint.accent;
        ctx.lineWidth = 1.6 * ratio;
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  cursor(u) {
    const i = u.cursor.idx;
    const point = i === null || i === undefined ? null : this.from[i];
    this.hovering = point !== null && point !== undefined && u.cursor.left >= 0;
    this.calls.hover(this.hovering ? point : null);
  }

  selected(u) {
    const { left, width } = u.select;
    if (width < 6) return;
    const from = u.posToVal(left, "x") * 1000;
    const to = u.posToVal(left + width, "x") * 1000;
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (selecting) return;
    selecting = true;
    setTimeout(() => (selecting = false), 0);
    this.calls.select(from, to);
  }

  fit() {
    if (this.plot && this.holder.clientWidth) this.plot.setSize({ width: this.holder.clientWidth, height: this.holder.clientHeight });
  }

  destroy() {
    this.watch.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }
}

/** The y scale: a tenth of air, and never a flat line filling the chart with noise. */
function spread(low, high, whole) {
  if (low === null || high === null || !Number.isFinite(low)) return [0, 1];
  const air = Math.max((high - low) * 0.12, Math.abs(high) * 0.0005, whole ? 1 : 0.05);
  return [low >= 0 && low - air < 0 ? 0 : low - air, high + air];
}
