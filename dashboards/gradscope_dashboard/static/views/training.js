// How the training goes: loss, norm of the gradient and what else is recorded a step, and the logs of each epoch.

import { rowOf } from '../curves.js';
import { h } from '../dom.js';
import { fileName, curveRows, saveCsv } from '../download.js';
import { name, words } from '../format.js';
import { colourOf, DASHES, shapeOf } from '../theme.js';
import { createFigures } from './figures.js';
import { createChart } from './lines.js';
import { createRunLegend } from './run_legend.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('./lines.js').Line} Line */

/** What is shown of each recorded step; durations stand with the overhead. */
const SHOWN = ['steps.loss', 'steps.global_norm', 'steps.learning_rate'];

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createTraining(root) {
  /** @type {Scene} */
  let now;
  const legend = createRunLegend(
    (run) => `Save what is recorded a step of ${name(run.run)} as CSV`,
    (run) => {
      const curves = now.answers.steps(run.run, run.stamp).value;
      if (curves) saveCsv(curveRows(curves, run.run), fileName(run.run, 'steps'));
    },
  );
  const container = h('div', { class: 'charts' });
  root.append(legend.element, container);
  const charts = createFigures(
    container,
    (/** @type {{key: string, title: string, meaning: string}} */ { title, meaning }) => createChart(title, meaning),
  );

  return (scene) => {
    now = scene;
    const { state, theme, answers } = scene;
    /** @type {Map<string, {title: string, meaning: string, scale: 'linear' | 'log', unit: string, lines: Line[]}>} */
    const found = new Map();
    const add = (
      /** @type {string} */ id,
      /** @type {{title: string, meaning: string, scale: 'linear' | 'log', unit: string}} */ about,
      /** @type {Line} */ line,
    ) => {
      const entry = found.get(id) ?? { ...about, lines: [] };
      entry.lines.push(line);
      found.set(id, entry);
    };
    for (const run of scene.chosen) {
      const look = {
        name: name(run.run),
        colour: colourOf(theme, state, run.run),
        dash: shapeOf(DASHES, state, run.run),
      };
      const curves = answers.steps(run.run, run.stamp).value;
      for (const id of SHOWN) {
        const index = curves ? curves.series.findIndex((series) => series.id === id) : -1;
        if (!curves || index < 0) continue;
        const values = rowOf(curves.values, index, curves.steps.length);
        const about = state.statistics.find((statistic) => statistic.id === id);
        if (values.every(Number.isNaN)) continue;
        add(
          id,
          {
            title: about?.title ?? words(id),
            meaning: about?.meaning ?? '',
            scale: about?.scale ?? 'linear',
            unit: '',
          },
          { ...look, columns: curves, values },
        );
        if (id !== 'steps.loss') continue;
        const baseline = curves.series.findIndex((series) => series.id === 'steps.baseline_loss');
        if (baseline >= 0)
          add(
            id,
            { title: '', meaning: '', scale: 'linear', unit: '' },
            {
              name: `${look.name}: best constant answer`,
              colour: theme.muted,
              dash: 'dot',
              columns: curves,
              values: rowOf(curves.values, baseline, curves.steps.length),
              exact: true,
              faint: true,
            },
          );
      }
      const epochs = answers.epochs(run.run, run.stamp).value?.epochs ?? [];
      for (const log of new Set(epochs.flatMap((epoch) => Object.keys(epoch.logs)))) {
        const columns = {
          steps: epochs.map((epoch) => epoch.step),
          wall_times: epochs.map((epoch) => epoch.wall_time),
        };
        const values = logOf(epochs, log);
        add(
          `epochs.${log}`,
          {
            title: `${name(log)} of the epoch`,
            meaning: 'As Keras logs it at the end of each epoch.',
            scale: 'linear',
            unit: '',
          },
          { ...look, columns, values },
        );
      }
    }
    root.hidden = found.size === 0;
    legend.update(scene, scene.chosen);
    charts.arrange([...found].map(([key, { title, meaning }]) => ({ key, title, meaning })));
    for (const [id, { lines, scale, unit }] of found) charts.get(id)?.update(scene, lines, { scale, unit });
  };
}

/** @type {WeakMap<object, Map<string, number[]>>} */
const logs = new WeakMap();

/**
 * Return the values of a log, the same array each time, so that a chart knows that nothing changed.
 * @param {{logs: Record<string, number | null>}[]} epochs
 * @param {string} log
 * @returns {number[]}
 */
function logOf(epochs, log) {
  const known = logs.get(epochs) ?? new Map();
  logs.set(epochs, known);
  const values = known.get(log) ?? epochs.map((epoch) => epoch.logs[log] ?? NaN);
  known.set(log, values);
  return values;
}
