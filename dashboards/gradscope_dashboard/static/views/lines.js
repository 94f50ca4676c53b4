// Line charts that share one look: a title, curves told apart by colour and dash, a line at the step looked at.

import { lastNotAbove, places, smoothed } from '../curves.js';
import { h, whenReplaced } from '../dom.js';
import { draw, erase, horizontal, label, lineAt, vertical } from '../plot.js';

/** @typedef {import('../types.js').Scene} Scene */

/**
 * One curve of a chart.
 * @typedef {object} Line
 * @property {string} name
 * @property {{steps: number[], wall_times: number[]}} columns
 * @property {Float32Array | number[]} values
 * @property {string} colour
 * @property {string} dash
 * @property {boolean} [exact] Never smoothed.
 * @property {boolean} [faint] Drawn thin.
 */

/**
 * @typedef {object} Chart
 * @property {HTMLElement} element
 * @property {import('../plot.js').PlotElement} plot
 * @property {(scene: Scene, lines: Line[], shape: {scale: 'linear' | 'log', unit: string}) => void} update
 * @property {() => void} remove Give back what is held of it.
 */

/** @type {WeakMap<Element, () => void>} */
const waiting = new WeakMap();
/** Charts are drawn when they come near what is seen: a layer has dozens. */
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) waiting.get(target)?.();
  },
  { rootMargin: '300px' },
);

/**
 * Return an empty chart.
 * @param {string} title
 * @param {string} meaning Shown when the pointer rests on the title, and to who cannot see.
 * @returns {Chart}
 */
export function createChart(title, meaning) {
  /** @type {import('../plot.js').PlotElement} */
  const plot = h('div', { class: 'plot lines' });
  const element = h(
    'figure',
    { class: 'chart' },
    h(
      'figcaption',
      { title: meaning },
      h('span', null, title),
      meaning && h('span', { class: 'note meaning-line' }, meaning),
    ),
    plot,
  );
  let seen = false;
  /** @type {(() => void) | null} */
  let pending = null;
  waiting.set(element, () => {
    seen = true;
    near.unobserve(element);
    pending?.();
  });
  near.observe(element);

  const paint = whenReplaced((/** @type {unknown[]} */ ..._inputs) => {
    const { scene, lines, shape } = /** @type {NonNullable<typeof now>} */ (now);
    paintInto(plot, scene, lines, shape);
  });
  /** @type {{scene: Scene, lines: Line[], shape: {scale: 'linear' | 'log', unit: string}} | null} */
  let now = null;
  return {
    element,
    plot,
    remove() {
      near.unobserve(element);
      erase(plot);
    },
    update(scene, lines, shape) {
      now = { scene, lines, shape };
      // The buffer tells answers apart: a row of one is a new view of it each time.
      const inputs = lines.flatMap((line) => [
        line.name,
        line.colour,
        'buffer' in line.values ? line.values.buffer : line.values,
        line.columns,
      ]);
      pending = () => paint(scene.theme, scene.state.axis, scene.state.smoothing, scene.state.step, ...inputs);
      if (seen) pending();
    },
  };
}

/**
 * @param {import('../plot.js').PlotElement} plot
 * @param {Scene} scene
 * @param {Line[]} lines
 * @param {{scale: 'linear' | 'log', unit: string}} shape
 */
function paintInto(plot, { state, theme }, lines, shape) {
  const span = Math.max(0, ...lines.map((line) => places(line.columns, state.axis).at(-1) ?? 0));
  const traces = lines.flatMap((line) => {
    const x = places(line.columns, state.axis);
    const base = {
      type: 'scatter',
      mode: line.values.length === 1 ? 'markers' : 'lines',
      x,
      name: label(line.name),
      connectgaps: false,
    };
    const exact = Array.from(line.values);
    const smooth = state.smoothing > 0 && !line.exact;
    const colour = line.colour;
    const main = {
      ...base,
      y: smooth ? smoothed(exact, state.smoothing) : exact,
      line: { color: colour, width: line.faint ? 1 : 2, dash: line.dash },
      hovertemplate: hover(shape),
    };
    return smooth
      ? [{ ...base, y: exact, line: { color: colour, width: 1 }, opacity: 0.25, hoverinfo: 'skip' }, main]
      : [main];
  });
  const [first] = lines;
  const at = first ? places(first.columns, state.axis) : [];
  const place = state.step === null || !first ? undefined : at[lastNotAbove(first.columns.steps, state.step)];
  draw(
    plot,
    traces,
    {
      hovermode: 'x unified',
      margin: { l: 8, r: 10, t: 6, b: 34 },
      xaxis: {
        ...horizontal(state.axis, span),
        title: state.axis === 'step' ? undefined : horizontal(state.axis, span).title,
      },
      yaxis: vertical(
        shape,
        lines.map((line) => line.values),
      ),
      shapes: place === undefined ? [] : [lineAt(place, theme)],
    },
    theme,
    state.axis,
  );
}

/**
 * @param {{unit: string}} shape
 * @returns {string}
 */
function hover({ unit }) {
  return unit === 'fraction' ? '%{y:.1%}' : '%{y:.3~g}';
}
