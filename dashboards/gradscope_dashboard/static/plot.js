// Plotly: loaded once, drawn in the theme's colours, with every name escaped.

import { number } from './format.js';
import { SCALE } from './theme.js';

/** @typedef {import('./theme.js').Theme} Theme */
/** @typedef {HTMLElement & {on?: (event: string, listener: (event: any) => void) => void, _fullLayout?: any}} PlotElement */

const CONFIG = { displayModeBar: false, doubleClick: 'reset+autosize', showTips: false };
export const FONT = 'Roboto, "Helvetica Neue", Arial, sans-serif';

/** @type {Promise<void> | undefined} */
let loading;

/**
 * Load plotly.js, once.
 * @param {string} version A browser keeps the file as long as its version is the same; empty where it is not known.
 * @returns {Promise<void>}
 */
export function load(version) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = `static/plotly.min.js${version && `?v=${encodeURIComponent(version)}`}`;
    script.onload = () => resolve();
    script.onerror = () => {
      loading = undefined;
      script.remove();
      reject(new Error('plotly.js, which draws the figures, could not be loaded.'));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * Return `text` so that Plotly, which reads markup in labels, shows it as it is.
 * @param {string} text
 * @returns {string}
 */
export function label(text) {
  return text.replace(/[&<>"'$%{}]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * Draw, or draw anew with what was zoomed kept as long as `revision` is the same.
 * @param {PlotElement} element
 * @param {object[]} traces
 * @param {Record<string, any>} layout
 * @param {Theme} theme
 * @param {string} [revision]
 */
export function draw(element, traces, layout, theme, revision = '') {
  void Plotly.react(element, traces, { ...frame(layout, theme), uirevision: revision }, CONFIG);
  sizes.observe(element);
}

/**
 * Give back what is held of a figure that is taken away.
 * @param {PlotElement} element
 */
export function erase(element) {
  sizes.unobserve(element);
  Plotly.purge(element);
}

/** A column grows narrower when another run is selected, without the window changing. */
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const element = /** @type {PlotElement} */ (target);
    const drawn = element._fullLayout;
    if (!drawn || contentRect.width === 0) continue;
    if (Math.abs(drawn.width - contentRect.width) > 1 || Math.abs(drawn.height - contentRect.height) > 1)
      Plotly.Plots.resize(element);
  }
});

/**
 * Return `layout` with what all figures share.
 * @param {Record<string, any>} layout
 * @param {Theme} theme
 * @returns {Record<string, any>}
 */
function frame(layout, theme) {
  const axes = Object.fromEntries(
    Object.entries(layout)
      .filter(([name]) => /^[xy]axis/.test(name))
      .map(([name, axis]) => [
        name,
        {
          gridcolor: theme.grid,
          zeroline: false,
          linecolor: theme.grid,
          tickcolor: theme.grid,
          automargin: true,
          ...axis,
        },
      ]),
  );
  return {
    paper_bgcolor: theme.surface,
    plot_bgcolor: theme.surface,
    font: { family: FONT, size: 12, color: theme.ink },
    margin: { l: 56, r: 12, t: 8, b: 36 },
    showlegend: false,
    hoverlabel: {
      bgcolor: theme.surface,
      bordercolor: theme.muted,
      font: { family: FONT, size: 12, color: theme.ink },
    },
    ...layout,
    ...axes,
  };
}

/**
 * Return the horizontal axis of steps or time.
 * @param {import('./types.js').AxisKind} axis
 * @param {number} [span] Largest value, to choose the unit of relative time.
 * @returns {Record<string, any>}
 */
export function horizontal(axis, span = 0) {
  const title = axis === 'step' ? 'step' : axis === 'wall' ? 'time' : 'time since the first record (s)';
  const base = {
    title: { text: title, standoff: 4, font: { size: 12 } },
    type: axis === 'wall' ? 'date' : 'linear',
    showgrid: false,
  };
  if (axis !== 'relative' || span < 300) return axis === 'step' ? { ...base, tickformat: ',d' } : base;
  const unit = span < 3 * 3600 ? 60 : 3600;
  const steps = niceTicks(span / unit).map((tick) => tick * unit);
  const name = unit === 60 ? 'min' : 'h';
  return {
    ...base,
    title: { text: `time since the first record (${name})`, standoff: 4, font: { size: 12 } },
    tickvals: steps,
    ticktext: steps.map((tick) => String(tick / unit)),
  };
}

/**
 * @param {number} span
 * @returns {number[]}
 */
function niceTicks(span) {
  const size = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((candidate) => span / candidate <= 6) ?? size;
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

/**
 * Return the axis of a statistic's values.
 * @param {{scale: 'linear' | 'log', unit: string}} statistic
 * @param {ArrayLike<number>[]} values All that is drawn, for a logarithmic axis to label as many decades as there is room.
 * @returns {Record<string, any>}
 */
export function vertical(statistic, values) {
  if (statistic.scale === 'log') {
    let low = Infinity;
    let high = 0;
    for (const array of values) {
      for (const value of Array.from(array)) {
        if (value > 0 && value < low) low = value;
        if (value > high && value < Infinity) high = value;
      }
    }
    const decades = high > 0 ? Math.log10(high / low) : 1;
    if (decades >= 1.2) return { type: 'log', exponentformat: 'e', dtick: Math.max(1, Math.ceil(decades / 5)) };
    // Within one decade Plotly would write the first digit alone.
    const bottom = Math.floor(Math.log10(high > 0 ? low : 1)) - 1;
    const ticks = [0, 1, 2, 3].flatMap((up) => [1, 2, 5].map((digit) => Number(`${digit}e${bottom + up}`)));
    return { type: 'log', tickvals: ticks, ticktext: ticks.map((tick) => number(tick).replace('.0e', 'e')) };
  }
  if (statistic.unit === 'fraction') return { tickformat: '.0%', rangemode: 'tozero' };
  return { nticks: 6 };
}

/**
 * Return a vertical line at `place`.
 * @param {number} place
 * @param {Theme} theme
 * @returns {object}
 */
export function lineAt(place, theme) {
  return {
    type: 'line',
    xref: 'x',
    yref: 'paper',
    x0: place,
    x1: place,
    y0: 0,
    y1: 1,
    line: { color: theme.marker, width: 1.5, dash: 'dot' },
  };
}

/**
 * Save what `element` shows as a PNG file.
 * @param {PlotElement} element
 * @param {string} name
 * @param {string} title
 * @param {(figure: {data: any[], layout: any}) => void} [change] Adds what the picture needs and the page has elsewhere.
 */
export async function savePicture(element, name, title, change) {
  const shown = /** @type {any} */ (element);
  const figure = { data: shown.data.map((/** @type {object} */ trace) => ({ ...trace })), layout: { ...shown.layout } };
  figure.layout.title = { text: label(title), font: { size: 14 }, x: 0.02, xanchor: 'left' };
  figure.layout.margin = { ...figure.layout.margin, t: 44 };
  // A picture is drawn with the system's typeface: its labels may be wider than ours.
  figure.layout.yaxis = { ...figure.layout.yaxis, automargin: true };
  change?.(figure);
  const width = Math.max(720, element.clientWidth);
  const url = await Plotly.toImage(figure, {
    format: 'png',
    width,
    height: Math.max(320, element.clientHeight + 60),
    scale: 2,
  });
  const link = document.createElement('a');
  link.href = url;
  link.download = `${name}.png`;
  link.click();
}

/** The colours of heatmaps as Plotly takes them. */
export const COLOURS = SCALE;
