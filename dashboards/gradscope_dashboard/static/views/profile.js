// The statistic along the depth of the network at the step that is looked at, all selected runs on one scale.

import { columnAt, shownMatrix } from '../columns.js';
import { h, replaceChildren, whenReplaced } from '../dom.js';
import { fileName, saveCsv } from '../download.js';
import { name, number, shortened, whole } from '../format.js';
import { draw, label, savePicture, vertical } from '../plot.js';
import { colourOf, DASHES, shapeOf, SYMBOLS } from '../theme.js';
import { legendLine } from './run_legend.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').Matrix} Matrix */

/** Names of layers that fit along the axis. */
const NAMES = 28;

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createProfile(root) {
  /** @type {import('../plot.js').PlotElement} */
  const plot = h('div', { class: 'plot profile' });
  const caption = h('p', { class: 'meaning', 'aria-live': 'polite' });
  const legend = h('div', { class: 'legend' });
  /** @type {{scene: Scene, profiles: Profile[]} | null} */
  let now = null;
  const savers = h(
    'span',
    { class: 'savers' },
    h(
      'button',
      {
        type: 'button',
        class: 'quiet',
        title: 'Save the profile as CSV',
        onclick: () => now && saveCsv(rows(now.profiles), fileName('profile', now.scene.statistic?.name ?? '')),
      },
      'CSV',
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'quiet',
        title: 'Save the profile as PNG',
        onclick: () =>
          now &&
          void savePicture(
            plot,
            fileName('profile', now.scene.statistic?.name ?? ''),
            `${now.scene.statistic?.title ?? ''} along depth, ${caption.textContent}`,
            ({ layout }) => {
              layout.showlegend = true;
            },
          ),
      },
      'PNG',
    ),
  );
  root.append(h('div', { class: 'card' }, h('div', { class: 'row spread' }, legend, savers), caption, plot));
  let listening = false;
  const paint = whenReplaced((/** @type {unknown[]} */ ..._inputs) => {
    if (!now) return;
    paintInto(plot, now.scene, now.profiles);
    replaceChildren(legend, ...now.profiles.map(({ run }) => legendLine(/** @type {Scene} */ (now?.scene), run)));
    if (listening) return;
    listening = true;
    plot.on?.('plotly_click', ({ points }) => {
      const point = points[0];
      const profile = now?.profiles[point.curveNumber];
      if (profile && now) now.scene.actions.open(profile.layers[point.pointNumber] ?? null, profile.step);
    });
  });
  return (scene) => {
    const { statistic } = scene;
    const profiles = scene.chosen.flatMap((run) => {
      const matrix = shownMatrix(scene, run).value;
      return matrix && matrix.steps.length ? [profileOf(matrix, run.run, scene.state.step)] : [];
    });
    root.hidden = profiles.length === 0;
    if (root.hidden) return;
    now = { scene, profiles };
    const shown = [...new Set(profiles.map((profile) => profile.step))].map(whole);
    caption.textContent = `${statistic?.title ?? ''} at step ${shown.join(' and ')}, from the input at the left to the output at the right`;
    paint(
      scene.theme,
      statistic,
      ...profiles.flatMap((profile) => [profile.run, profile.matrix, profile.column, scene.state.colours[profile.run]]),
    );
  };
}

/**
 * @typedef {object} Profile
 * @property {string} run
 * @property {Matrix} matrix
 * @property {number} column
 * @property {number} step
 * @property {string[]} labels
 * @property {string[]} layers
 * @property {number[]} values
 */

/**
 * @param {Matrix} matrix
 * @param {string} run
 * @param {number | null} step
 * @returns {Profile}
 */
export function profileOf(matrix, run, step) {
  const width = matrix.steps.length;
  const column = columnAt(matrix, step);
  return {
    run,
    matrix,
    column,
    step: matrix.steps[column] ?? 0,
    labels: matrix.rows.map((row) => row.label),
    layers: matrix.rows.map((row) => row.layer),
    values: matrix.rows.map((_, row) => matrix.values[row * width + column] ?? NaN),
  };
}

/**
 * @param {import('../plot.js').PlotElement} plot
 * @param {Scene} scene
 * @param {Profile[]} profiles
 */
function paintInto(plot, { state, theme, statistic }, profiles) {
  const [first] = profiles;
  const labels = first?.labels ?? [];
  const same = profiles.every((profile) => profile.labels.join('\n') === labels.join('\n'));
  const every = Math.ceil(labels.length / NAMES);
  const ticks = labels.flatMap((_, index) => (index % every === 0 ? [index] : []));
  draw(
    plot,
    profiles.map((profile) => ({
      type: 'scatter',
      mode: profile.values.length > 60 ? 'lines' : 'lines+markers',
      name: label(name(profile.run)),
      x: profile.values.map((_, index) => index),
      y: profile.values,
      customdata: profile.labels.map(
        (text, index) =>
          `${label(shortened(name(text), 60))}: ${label(number(profile.values[index], statistic?.unit))}`,
      ),
      hovertemplate: '%{customdata}',
      line: { color: colourOf(theme, state, profile.run), width: 2, dash: shapeOf(DASHES, state, profile.run) },
      marker: { size: 7, symbol: shapeOf(SYMBOLS, state, profile.run) },
    })),
    {
      hovermode: 'closest',
      margin: { l: 8, r: 10, t: 6, b: 30 },
      xaxis: same
        ? {
            tickvals: ticks,
            ticktext: ticks.map((index) => label(shortened(name(labels[index] ?? ''), 18))),
            tickangle: 'auto',
            range: [-0.4, labels.length - 0.6],
            showgrid: false,
          }
        : { title: { text: 'place in the model' }, showgrid: false },
      yaxis:
        statistic?.unit === 'fraction'
          ? { ...vertical(statistic, []), range: [-0.02, 1.02] }
          : vertical(
              statistic ?? { scale: 'linear', unit: '' },
              profiles.map((profile) => profile.values),
            ),
    },
    theme,
    statistic?.id,
  );
}

/**
 * @param {Profile[]} profiles
 * @returns {(string | number | null)[][]}
 */
function rows(profiles) {
  return [
    ['run', 'step', 'layer', 'row', 'value'],
    ...profiles.flatMap((profile) =>
      profile.labels.map((text, index) => [
        profile.run,
        profile.step,
        profile.layers[index] ?? '',
        text,
        profile.values[index] ?? null,
      ]),
    ),
  ];
}
