// The unit map of a layer: which units are dead, and since when, one row a unit.

import { h } from '../dom.js';
import { whole } from '../format.js';
import { mapOf, sentence, STATES } from '../unit_map.js';
import { createHeatmap } from './heatmap.js';
import { createSiteCards } from './site_cards.js';

/** @typedef {import('../types.js').Scene} Scene */

/** Each state has a stretch of the scale of its own. */
const COLOURS = STATES.flatMap(({ colour }, index) => [
  /** @type {[number, string]} */ ([index / STATES.length, colour]),
  /** @type {[number, string]} */ ([(index + 1) / STATES.length, colour]),
]);

/**
 * @returns {{element: HTMLElement, update: (scene: Scene, sites: import('./site_cards.js').SitesOfRuns) => void}}
 */
export function createUnits() {
  const columns = h('div', { class: 'columns' });
  const legend = h(
    'div',
    { class: 'legend' },
    ...STATES.map(({ title, colour }) => {
      const swatch = h('span', { class: 'swatch', 'aria-hidden': 'true' });
      swatch.style.background = colour;
      return h('span', null, swatch, title);
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
  const arrange = createSiteCards(columns, createCard);

  return {
    element,
    update(scene, sitesOfRuns) {
      const found = arrange(scene, sitesOfRuns, (run, site) => {
        const answer = scene.answers.units(run.run, run.stamp, site).value;
        const steps = scene.answers.steps(run.run, run.stamp).value;
        return answer && steps && answer.units > 0 ? { units: answer, steps } : null;
      });
      element.hidden = found.length === 0;
      legend.hidden = found.every(({ answer }) => answer.units.changes.length === 0);
      for (const {
        card,
        answer: { units, steps },
      } of found) {
        const map = mapOf(units, steps);
        card.now = map;
        card.text.textContent = sentence(units, map);
        card.heatmap.element.hidden = units.changes.length === 0;
        if (card.heatmap.element.hidden) continue;
        card.heatmap.update(
          {
            columns: map.columns,
            labels: labelsOf(units.units),
            values: map.values,
            range: { low: 0, high: STATES.length - 1, log: false },
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
 * @property {() => void} remove
 * @property {HTMLElement} head
 * @property {HTMLElement} text
 * @property {import('./heatmap.js').Heatmap} heatmap
 * @property {import('../unit_map.js').UnitMap | null} now
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
    remove: () => card.heatmap.remove(),
    heatmap: createHeatmap((row, column) => {
      const state = card.now?.values[row * card.now.columns.steps.length + column];
      return [
        `unit ${row}: ${state === undefined ? '' : STATES[state]?.title}`,
        `step ${whole(card.now?.columns.steps[column] ?? 0)}`,
      ];
    }, null),
  };
  card.element.append(head, text, card.heatmap.element);
  return card;
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
