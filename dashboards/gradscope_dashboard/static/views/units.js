// The unit map of a layer: which units are dead, and since when, one row a unit.

import { h } from '../dom.js';
import { counted, name, whole } from '../format.js';
import { MOST_COLUMNS } from '../state.js';
import { createCards } from './cards.js';
import { createHeatmap } from './heatmap.js';
import { runTitle } from './run_title.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').Units} Units */

/** Units listed by number under the map. */
const LISTED = 60;
const ALIVE = 0;
const DEAD = 1;
const CONFIRMED = 2;
/** Alive light, dead dark; told apart by lightness. */
const COLOURS = /** @type {[number, string][]} */ ([
  [0, '#9fd3c0'],
  [0.33, '#9fd3c0'],
  [0.34, '#d55e00'],
  [0.66, '#d55e00'],
  [0.67, '#3b0f2f'],
  [1, '#3b0f2f'],
]);
const STATES = ['alive', 'dead', 'dead, and its gradient is exactly 0'];

/**
 * @typedef {object} UnitMap
 * @property {{steps: number[], wall_times: number[]}} columns
 * @property {Float32Array} values
 * @property {number[]} dead Units that are dead at the end.
 */

/**
 * @returns {{element: HTMLElement, update: (scene: Scene, sites: import('./histograms.js').SitesOfRuns) => void}}
 */
export function createUnits() {
  const columns = h('div', { class: 'columns' });
  const legend = h(
    'div',
    { class: 'legend' },
    ...STATES.map((state, index) => {
      const swatch = h('span', { class: 'swatch', 'aria-hidden': 'true' });
      swatch.style.background = /** @type {[number, string]} */ (COLOURS[2 * index])[1];
      return h('span', null, swatch, state);
    }),
  );
  const element = h(
    'section',
    { 'aria-label': 'Units' },
    h('h3', null, 'Units'),
    h(
      'p',
      { class: 'meaning' },
      'One row a unit. A unit is dead when it is inactive on every sample of a window of records.',
    ),
    legend,
    columns,
  );
  const cards = createCards(columns, createCard);

  return {
    element,
    update(scene, sitesOfRuns) {
      const found = sitesOfRuns.slice(0, MOST_COLUMNS).flatMap(({ run, sites }) => {
        const info = scene.chosen.find((known) => known.run === run);
        return sites.flatMap((site) => {
          const answer = info && scene.answers.units(run, info.stamp, site.key).value;
          const steps = info && scene.answers.steps(run, info.stamp).value;
          return info && answer && steps && answer.units > 0 ? [{ info, site, answer, steps }] : [];
        });
      });
      element.hidden = found.length === 0;
      legend.hidden = found.every(({ answer }) => answer.changes.length === 0);
      cards.arrange(found.map(({ info, site }) => JSON.stringify([info.run, site.key])));
      for (const { info, site, answer, steps } of found) {
        const card = cards.get(JSON.stringify([info.run, site.key]));
        if (!card) continue;
        const map = mapOf(answer, steps);
        card.now = map;
        card.head.replaceChildren(
          runTitle(scene, info, site.key !== scene.state.layer && h('span', { class: 'note' }, name(site.key))),
        );
        card.text.textContent = sentence(answer, map);
        card.heatmap.element.hidden = answer.changes.length === 0;
        if (card.heatmap.element.hidden) continue;
        card.heatmap.update(
          {
            columns: map.columns,
            labels: labelsOf(answer.units),
            values: map.values,
            range: { low: ALIVE, high: CONFIRMED, log: false },
            axis: scene.state.axis,
            theme: scene.theme,
            marks: [],
            colours: COLOURS,
            height: 280,
          },
          scene.state.step,
        );
      }
    },
  };
}

/**
 * @typedef {object} Card
 * @property {HTMLElement} element
 * @property {HTMLElement} head
 * @property {HTMLElement} text
 * @property {import('./heatmap.js').Heatmap} heatmap
 * @property {UnitMap | null} now
 */

/** @returns {Card} */
function createCard() {
  const head = h('div');
  const text = h('p');
  /** @type {Card} */
  const card = {
    head,
    text,
    now: null,
    element: h('div', { class: 'column card' }),
    heatmap: createHeatmap((row, column) => {
      const state = card.now?.values[row * card.now.columns.steps.length + column];
      return [
        `unit ${row}: ${state === undefined ? '' : STATES[state]}`,
        `step ${whole(card.now?.columns.steps[column] ?? 0)}`,
      ];
    }, null),
  };
  card.element.append(head, text, card.heatmap.element);
  return card;
}

/** @type {WeakMap<Units, UnitMap>} */
const known = new WeakMap();

/**
 * Return the state of each unit at each recorded step; from the step on since which a unit is dead, it is shown dead.
 * @param {Units} answer
 * @param {{steps: number[], wall_times: number[]}} columns
 * @returns {UnitMap}
 */
export function mapOf(answer, columns) {
  const before = known.get(answer);
  if (before && before.columns === columns) return before;
  const { steps } = columns;
  const values = new Float32Array(answer.units * steps.length);
  const dead = new Set();
  for (const change of answer.changes) {
    if (change.unit >= answer.units) continue;
    if (change.dead) dead.add(change.unit);
    else dead.delete(change.unit);
    const from = change.dead ? (change.dead_since_step ?? change.step) : change.step;
    const state = change.dead ? (change.confirmed ? CONFIRMED : DEAD) : ALIVE;
    steps.forEach((step, column) => {
      if (step >= from) values[change.unit * steps.length + column] = state;
    });
  }
  const map = { columns, values, dead: [...dead].sort((a, b) => a - b) };
  known.set(answer, map);
  return map;
}

/**
 * @param {Units} answer
 * @param {UnitMap} map
 * @returns {string}
 */
function sentence({ units, last_step: last, changes }, { dead }) {
  if (changes.length === 0) return `No unit of ${whole(units)} is known to have died.`;
  const listed = dead.slice(0, LISTED).join(', ') + (dead.length > LISTED ? ' …' : '');
  return `${counted(dead.length, 'unit')} of ${whole(units)} ${dead.length === 1 ? 'is' : 'are'} dead at step ${whole(last)}${dead.length ? `: ${listed}` : ''}.`;
}

/** @type {Map<number, string[]>} */
const labels = new Map();

/**
 * @param {number} units
 * @returns {string[]}
 */
function labelsOf(units) {
  const made = labels.get(units) ?? Array.from({ length: units }, (_, unit) => String(unit));
  labels.set(units, made);
  return made;
}
