// All curves of one layer: each statistic of its activations, gradients and weights, one chart a statistic.

import { rowOf } from '../curves.js';
import { h } from '../dom.js';
import { curveRows, fileName, saveCsv } from '../download.js';
import { name, number, withinLayer, words } from '../format.js';
import { savePicture } from '../plot.js';
import { colourOf, DASHES, shapeOf } from '../theme.js';
import { createFigures } from './figures.js';
import { createChart } from './lines.js';
import { createRunLegend } from './run_legend.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('./lines.js').Line} Line */

/**
 * @returns {{element: HTMLElement, update: (scene: Scene, runs: import('../types.js').RunInfo[]) => void}}
 */
export function createLayerCurves() {
  /** @type {Scene} */
  let now;
  const legend = createRunLegend(
    (run) => `Save all curves of this layer in ${name(run.run)} as CSV`,
    (run) => {
      const curves = now.answers.curves(run.run, run.stamp, now.state.layer ?? '').value;
      if (curves) saveCsv(curveRows(curves, run.run), fileName(run.run, now.state.layer ?? ''));
    },
  );
  const container = h('div', { class: 'charts' });
  const constant = h('p', { class: 'note' });
  const element = h(
    'section',
    { 'aria-label': 'Curves' },
    h('h3', null, 'Curves'),
    legend.element,
    container,
    constant,
  );
  const charts = createFigures(
    container,
    (/** @type {{key: string, title: string, meaning: string}} */ { title, meaning }) => {
      const chart = createChart(title, meaning);
      chart.element
        .querySelector('figcaption')
        ?.append(
          h(
            'button',
            { type: 'button', class: 'quiet', title: `Save ${title} as PNG`, onclick: () => savePng(chart, title) },
            'PNG',
          ),
        );
      return chart;
    },
  );

  /**
   * @param {import('./lines.js').Chart} chart
   * @param {string} title
   */
  function savePng({ plot }, title) {
    const layer = now.state.layer ?? '';
    void savePicture(plot, fileName(layer, title), `${layer}: ${title}`, ({ layout }) => {
      layout.showlegend = true;
    });
  }

  return {
    element,
    update(scene, runs) {
      now = scene;
      const { state, theme, answers } = scene;
      /** @type {Map<string, Line[]>} */
      const lines = new Map();
      /** @type {Map<string, number>} */
      const places = new Map();
      /** @type {Set<string>} */
      const thin = new Set();
      for (const run of runs) {
        const curves = answers.curves(run.run, run.stamp, state.layer ?? '').value;
        const colour = colourOf(theme, state, run.run);
        const dash = shapeOf(DASHES, state, run.run);
        const within = withinLayer(curves?.series.flatMap((series) => series.variable ?? []) ?? []);
        curves?.series.forEach((series, index) => {
          const of = series.site ?? series.variable ?? '';
          // The first of a layer's sites or weights is drawn thick, the others thin.
          const key = `${series.id} ${series.variable === undefined ? of : (within.get(of) ?? of)}`;
          if (!places.has(key))
            places.set(key, [...places.keys()].filter((known) => known.startsWith(`${series.id} `)).length);
          const faint = (places.get(key) ?? 0) > 0;
          const detail = series.variable === undefined ? (of === state.layer ? '' : of) : (within.get(of) ?? of);
          if (faint && detail) thin.add(detail);
          const line = {
            name: [name(run.run), name(detail)].filter(Boolean).join(', '),
            columns: curves,
            values: rowOf(curves.values, index, curves.steps.length),
            colour,
            dash,
            faint,
          };
          lines.set(series.id, [...(lines.get(series.id) ?? []), line]);
        });
      }
      const order = state.statistics.map((statistic) => statistic.id);
      const moving = [...lines]
        .filter(([, list]) => constantValue(list) === null)
        .sort(([a], [b]) => place(order, a) - place(order, b));
      const still = [...lines].flatMap(([id, list]) => {
        const value = constantValue(list);
        return value === null
          ? []
          : [`${titleOf(scene, id)} ${number(value, state.statistics.find((statistic) => statistic.id === id)?.unit)}`];
      });
      element.hidden = lines.size === 0;
      legend.update(scene, runs, thin.size ? `thin: ${[...thin].map(name).join(', ')}` : '');
      charts.arrange(
        moving.map(([id]) => ({
          key: id,
          title: titleOf(scene, id),
          meaning: state.statistics.find((statistic) => statistic.id === id)?.meaning ?? '',
        })),
      );
      for (const [id, list] of moving) {
        const about = state.statistics.find((statistic) => statistic.id === id);
        charts.get(id)?.update(scene, list, { scale: about?.scale ?? 'linear', unit: about?.unit ?? '' });
      }
      constant.textContent = still.length ? `The same throughout: ${still.join(', ')}.` : '';
    },
  };
}

/**
 * @param {string[]} order
 * @param {string} id
 * @returns {number}
 */
function place(order, id) {
  const index = order.indexOf(id);
  return index < 0 ? order.length : index;
}

/**
 * @param {Scene} scene
 * @param {string} id
 * @returns {string}
 */
function titleOf({ state }, id) {
  return state.statistics.find((statistic) => statistic.id === id)?.title ?? words(id);
}

/**
 * @param {Line[]} lines
 * @returns {number | null} The value that all of them have throughout; null where they move.
 */
function constantValue(lines) {
  const first = lines[0]?.values[0];
  if (first === undefined || Number.isNaN(first)) return null;
  return lines.every(({ values }) => values.every((/** @type {number} */ value) => value === first)) ? first : null;
}
