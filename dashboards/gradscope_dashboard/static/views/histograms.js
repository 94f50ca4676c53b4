// How the activations of a layer are spread, over time: the share of sampled entries by value, one picture a site and run.

import { h } from '../dom.js';
import { number, whole } from '../format.js';
import { LEAST_SHARE, limitsOf, ROWS, spreadOf } from '../spread.js';
import { createHeatmap } from './heatmap.js';
import { createSiteCards } from './site_cards.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').Histograms} Histograms */

const ROW_NAMES = Array.from({ length: ROWS }, (_, row) => String(row));

/**
 * @typedef {object} Card
 * @property {HTMLElement} element
 * @property {() => void} remove
 * @property {HTMLElement} head
 * @property {import('./heatmap.js').Heatmap} heatmap
 * @property {{answer: Histograms, spread: import('../spread.js').Spread} | null} now
 */

/**
 * @returns {{element: HTMLElement, update: (scene: Scene, sites: import('./site_cards.js').SitesOfRuns) => void}}
 */
export function createHistograms() {
  const columns = h('div', { class: 'columns' });
  const element = h(
    'section',
    { 'aria-label': 'Histograms' },
    h('h3', null, 'Activations over time'),
    h(
      'p',
      { class: 'meaning' },
      'Where the sampled activations of each step lie, all pictures over the same values: the lighter, the more of them.',
    ),
    columns,
  );
  const arrange = createSiteCards(columns, createCard);

  return {
    element,
    update(scene, sitesOfRuns) {
      const found = arrange(scene, sitesOfRuns, (run, site) => {
        const answer = scene.answers.histograms(run.run, run.stamp, site).value;
        return answer?.steps.length ? answer : null;
      });
      element.hidden = found.length === 0;
      const limits = found.map(({ answer }) => limitsOf(answer));
      const low = Math.min(...limits.map((limit) => limit.low));
      const high = Math.max(...limits.map((limit) => limit.high));
      for (const { answer, card } of found) {
        const spread = spreadOf(answer, low, high);
        card.now = { answer, spread };
        card.heatmap.update(
          {
            columns: answer,
            labels: ROW_NAMES,
            scale: { low, high },
            values: spread.tones,
            range: { low: Math.log10(LEAST_SHARE), high: 0, log: false },
            axis: scene.state.axis,
            theme: scene.theme,
            marks: [],
            height: 180,
            bare: true,
          },
          scene.state.step,
        );
      }
    },
  };
}

/** @returns {Card} */
function createCard() {
  const head = h('div');
  /** @type {Card} */
  const card = {
    head,
    now: null,
    heatmap: createHeatmap((row, column) => {
      if (!card.now) return [];
      const { answer, spread } = card.now;
      const size = (spread.high - spread.low) / ROWS;
      const top = spread.high - row * size;
      const share = spread.shares[row * answer.steps.length + column] ?? NaN;
      return [
        `${number(share, 'fraction')} of the entries`,
        `between ${number(top - size)} and ${number(top)}`,
        `step ${whole(answer.steps[column] ?? 0)}`,
      ];
    }, null),
    element: h('div', { class: 'column card' }),
    remove: () => card.heatmap.remove(),
  };
  card.element.append(head, card.heatmap.element);
  return card;
}
