// A heatmap of rows over steps: drawn from columns of equal width, with a line at the step that is looked at.

import { evenly, lastNotAbove, places, rowOf, toned } from '../curves.js';
import { h, whenReplaced } from '../dom.js';
import { name, shortened } from '../format.js';
import { COLOURS, draw, erase, FONT, horizontal, label, lineAt } from '../plot.js';
import { hideTip, showTip } from './tooltip.js';

/** @typedef {import('../curves.js').Range} Range */
/** @typedef {import('../theme.js').Theme} Theme */

/** Pixels of a row, from many layers to few. */
const ROW = { least: 2.5, most: 23 };
/** Pixels that the rows share where there are many. */
const HEIGHT = 460;
const LABEL = 26;
/** Rows from which on columns are fewer, so that a picture is drawn at once. */
const MANY = 60;
const EDGES = 44;

/**
 * @typedef {object} Picture
 * @property {{steps: number[], wall_times: number[]}} columns
 * @property {string[]} labels One a row.
 * @property {Float32Array} values
 * @property {Range} range
 * @property {import('../types.js').AxisKind} axis
 * @property {Theme} theme
 * @property {Mark[]} marks
 * @property {[number, string][]} [colours]
 * @property {number} [height] Pixels that the rows share where there are many.
 * @property {{low: number, high: number}} [scale] Values that the rows stand for, from the high end down, in place of names.
 * @property {boolean} [bare] Whether what is missing is left blank rather than shown as missing.
 */

/** @typedef {{row: number, step: number, text: string, severity: import('../types.js').Severity}} Mark */

/**
 * @typedef {object} Heatmap
 * @property {import('../plot.js').PlotElement} element
 * @property {(picture: Picture, step: number | null) => void} update
 * @property {() => void} remove Give back what is held of it.
 */

/**
 * Return an empty heatmap.
 * @param {(row: number, column: number) => string[]} describe What the text beside the pointer says.
 * @param {((row: number, column: number) => void) | null} open Called with what was clicked.
 * @returns {Heatmap}
 */
export function createHeatmap(describe, open) {
  /** @type {import('../plot.js').PlotElement} */
  const element = h('div', { class: `plot heatmap${open ? ' opens' : ''}` });
  /** @type {import('../curves.js').Grid} */
  let grid;
  let listening = false;
  /** @type {Theme} */
  let lineTheme;

  const paint = whenReplaced((/** @type {Omit<Picture, 'marks'>} */ picture, /** @type {string} */ marks) => {
    grid = paintInto(element, picture, JSON.parse(marks));
    if (listening) return;
    listening = true;
    element.on?.('plotly_hover', ({ points, event }) => {
      const at = cell(points);
      if (at) showTip({ x: event.clientX, y: event.clientY }, describe(at[0], at[1]));
    });
    element.on?.('plotly_unhover', hideTip);
    element.on?.('plotly_click', ({ points }) => {
      const at = cell(points);
      hideTip();
      if (at) open?.(at[0], at[1]);
    });
  });

  /**
   * @param {{pointNumber: [number, number] | number, data: {type: string}}[]} points
   * @returns {[number, number] | null} Row and recorded column.
   */
  function cell(points) {
    const point = points.find(({ data }) => data.type === 'heatmap');
    if (!point || !Array.isArray(point.pointNumber)) return null;
    return [point.pointNumber[0], grid.sources[point.pointNumber[1]] ?? 0];
  }

  const line = whenReplaced((/** @type {number | null} */ place, /** @type {unknown} */ _picture) => {
    if (place === null && !(/** @type {any} */ (element).layout.shapes?.length)) return;
    void Plotly.relayout(element, { shapes: place === null ? [] : [lineAt(place, lineTheme)] });
  });

  let last = /** @type {Picture | null} */ (null);
  return {
    element,
    remove: () => erase(element),
    update(picture, step) {
      // The same picture is not drawn again: its parts are compared, for a view makes a new one each time.
      const same =
        last &&
        Object.keys(picture).every(
          (key) =>
            ['marks', 'labels', 'range', 'scale'].includes(key) ||
            /** @type {any} */ (last)[key] === /** @type {any} */ (picture)[key],
        ) &&
        JSON.stringify([last.labels, last.range, last.scale]) ===
          JSON.stringify([picture.labels, picture.range, picture.scale]);
      if (!same) last = picture;
      const kept = /** @type {Picture} */ (last);
      lineTheme = picture.theme;
      paint(kept, JSON.stringify(picture.marks));
      const at = places(picture.columns, picture.axis);
      const place =
        step === null || at.length === 0 ? null : /** @type {number} */ (at[lastNotAbove(picture.columns.steps, step)]);
      line(place, JSON.stringify(picture.marks) + String(picture.axis));
    },
  };
}

/**
 * @param {import('../plot.js').PlotElement} element
 * @param {Omit<Picture, 'marks'>} picture
 * @param {Mark[]} marks
 * @returns {import('../curves.js').Grid}
 */
function paintInto(element, picture, marks) {
  const { columns, labels, values, range, axis, theme, scale } = picture;
  const size = scale ? (scale.high - scale.low) / labels.length : 1;
  const at = places(columns, axis);
  const grid = evenly(at, { integer: axis === 'step', most: labels.length > MANY ? 600 : 1200 });
  const left = axis === 'step' ? grid.first - 0.5 : grid.first;
  const width = columns.steps.length;
  const z = labels.map((_, row) => {
    const recorded = rowOf(values, row, width);
    const tones = Float64Array.from(recorded, (value) => toned(value, range));
    return Array.from(grid.sources, (source) => tones[source]);
  });
  const rowHeight = Math.min(
    ROW.most,
    Math.max(picture.height ? 1 : ROW.least, (picture.height ?? HEIGHT) / Math.max(1, labels.length)),
  );
  const every = Math.max(1, Math.ceil(14 / rowHeight));
  const ticks = labels.flatMap((_, row) => (row % every === 0 ? [row] : []));
  const marked = new Map(marks.map((mark) => [mark.row, mark]));
  element.style.height = `${Math.max(96, Math.round(rowHeight * labels.length) + EDGES)}px`;
  const traces = [
    {
      type: 'heatmap',
      z,
      x0: left + grid.width / 2,
      dx: grid.width,
      y0: scale ? scale.high - size / 2 : 0,
      dy: scale ? -size : 1,
      zmin: range.low,
      zmax: range.high,
      zauto: false,
      colorscale: picture.colours ?? COLOURS,
      showscale: false,
      hoverinfo: 'none',
      hoverongaps: true,
    },
    {
      type: 'scatter',
      mode: 'markers',
      hoverinfo: 'skip',
      cliponaxis: false,
      x: marks.map((mark) => at[lastNotAbove(columns.steps, mark.step)]),
      y: marks.map((mark) => mark.row),
      marker: {
        size: 11,
        symbol: marks.map((mark) => (mark.severity === 'high' ? 'triangle-up' : 'diamond')),
        color: marks.map((mark) => theme.severity[mark.severity]),
        line: { color: theme.surface, width: 1.5 },
      },
    },
  ];
  draw(
    element,
    traces,
    {
      plot_bgcolor: picture.bare ? theme.surface : theme.missing,
      hovermode: 'closest',
      margin: { l: scale ? 44 : widest(ticks.map((row) => labels[row] ?? '')) + 28, r: 12, t: 4, b: 36 },
      xaxis: {
        ...horizontal(axis, at[at.length - 1]),
        automargin: false,
        ...whole(left, left + grid.width * grid.sources.length),
      },
      yaxis: scale
        ? { ...whole(scale.low, scale.high), showgrid: false, nticks: 6, automargin: false }
        : {
            ...whole(-0.5, labels.length - 0.5),
            autorange: 'reversed',
            showgrid: false,
            ticks: '',
            automargin: false,
            tickvals: ticks,
            ticktext: ticks.map((row) => tickText(labels[row] ?? '', marked.get(row), theme)),
          },
      shapes: /** @type {any} */ (element).layout?.shapes ?? [],
    },
    theme,
    `${axis} ${labels.length}`,
  );
  return grid;
}

/**
 * Return an axis that shows all from `low` to `high`, and not the room that marks at its ends would take.
 *
 * An explicit range would end what was zoomed whenever the run grows.
 * @param {number} low
 * @param {number} high
 * @returns {Record<string, any>}
 */
function whole(low, high) {
  return { autorange: true, autorangeoptions: { clipmin: low, clipmax: high } };
}

const ruler = document.createElement('canvas').getContext('2d');

/**
 * Return the pixels that the widest label takes. Plotly could find out by itself, at the price of drawing twice.
 * @param {string[]} labels
 * @returns {number}
 */
function widest(labels) {
  if (!ruler) return 120;
  ruler.font = `bold 12px ${FONT}`;
  return Math.ceil(
    labels.reduce((most, text) => Math.max(most, ruler.measureText(shortened(name(text), LABEL)).width), 0),
  );
}

/**
 * @param {string} text
 * @param {Mark | undefined} mark
 * @param {Theme} theme
 * @returns {string}
 */
function tickText(text, mark, theme) {
  const escaped = label(shortened(name(text), LABEL));
  if (!mark) return `${escaped} `;
  return `<span style="color:${theme.severity[mark.severity]}">${mark.text}</span> <b>${escaped}</b> `;
}
