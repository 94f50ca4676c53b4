// Two or more runs, layer by layer, at the step that is looked at: the numbers, and how many times they differ.

import { shownMatrix } from '../columns.js';
import { h, replaceChildren, whenReplaced } from '../dom.js';
import { name, number, shortened, times, whole } from '../format.js';
import { MOST_COLUMNS } from '../state.js';
import { profileOf } from './profile.js';
import { runTitle } from './run_title.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').Statistic} Statistic */

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createCompare(root) {
  const caption = h('p', { class: 'meaning' });
  const table = h('table', { class: 'numbers' });
  root.append(
    h(
      'div',
      { class: 'card' },
      caption,
      h(
        'div',
        { class: 'scrolled', tabIndex: 0, role: 'region', 'aria-label': 'Comparison of the selected runs' },
        table,
      ),
    ),
  );
  /** @type {Scene} */
  let now;
  /** @type {ReturnType<typeof profileOf>[]} */
  let profiles = [];
  const show = whenReplaced((/** @type {unknown[]} */ ..._inputs) => {
    if (now.statistic) replaceChildren(table, ...rowsOf(now, now.statistic, profiles));
  });
  return (scene) => {
    const { statistic } = scene;
    const shown = scene.chosen.slice(0, MOST_COLUMNS);
    profiles = shown.flatMap((run) => {
      const matrix = shownMatrix(scene, run).value;
      return matrix && matrix.steps.length ? [profileOf(matrix, run.run, scene.state.step)] : [];
    });
    root.hidden = profiles.length < 2;
    if (root.hidden) return;
    now = scene;
    caption.textContent = `${statistic?.title ?? ''} at step ${[...new Set(profiles.map((profile) => profile.step))].map(whole).join(' and ')}, held against the first run`;
    show(scene.theme, statistic, ...profiles.flatMap((profile) => [profile.run, profile.matrix, profile.column]));
  };
}

/**
 * @param {Scene} scene
 * @param {Statistic} statistic
 * @param {ReturnType<typeof profileOf>[]} profiles
 * @returns {HTMLElement[]}
 */
function rowsOf(scene, statistic, profiles) {
  const [first, ...others] = profiles;
  if (!first) return [];
  const labels = [...new Set(profiles.flatMap((profile) => profile.labels))];
  const valueOf = (/** @type {typeof first} */ profile, /** @type {string} */ label) =>
    profile.values[profile.labels.indexOf(label)] ?? NaN;
  const runs = profiles.flatMap((profile) => scene.chosen.find((run) => run.run === profile.run) ?? []);
  const head = h(
    'thead',
    null,
    h(
      'tr',
      null,
      h('th', { scope: 'col' }, 'layer'),
      ...runs.flatMap((run, index) => [
        h('th', { scope: 'col' }, runTitle(scene, run)),
        index > 0 && h('th', { scope: 'col' }, 'against the first'),
      ]),
    ),
  );
  const body = labels.map((label) => {
    const layer = profiles.flatMap((profile) => profile.layers[profile.labels.indexOf(label)] ?? [])[0] ?? null;
    const base = valueOf(first, label);
    return h(
      'tr',
      null,
      h(
        'th',
        { scope: 'row' },
        h(
          'button',
          { type: 'button', class: 'link', title: name(label), onclick: () => scene.actions.open(layer) },
          shortened(name(label), 40),
        ),
      ),
      h('td', null, number(base, statistic.unit)),
      ...others.flatMap((profile) => [
        h('td', null, number(valueOf(profile, label), statistic.unit)),
        h('td', { class: 'note' }, difference(base, valueOf(profile, label), statistic)),
      ]),
    );
  });
  return [head, h('tbody', null, ...body)];
}

/**
 * @param {number} base
 * @param {number} value
 * @param {Statistic} statistic
 * @returns {string}
 */
function difference(base, value, { scale, unit }) {
  if (!Number.isFinite(base) || !Number.isFinite(value)) return '';
  if (scale === 'log') return times(value, base);
  const change = value - base;
  if (unit !== 'fraction') return change === 0 ? 'equal' : `${change > 0 ? '+' : ''}${number(change, unit)}`;
  const points = 100 * change;
  return Math.abs(points) < 0.05
    ? 'equal'
    : `${points > 0 ? '+' : '−'}${Math.abs(points) < 10 ? Math.abs(points).toFixed(1) : Math.round(Math.abs(points))} points`;
}
