// How the activations of a layer are spread, over time: the share of sampled entries by value, one picture a site and run.

import { h } from '../dom.js';
import { name, number, whole } from '../format.js';
import { MOST_COLUMNS } from '../state.js';
import { createCards } from './cards.js';
import { createHeatmap } from './heatmap.js';
import { runTitle } from './run_title.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').Histograms} Histograms */
/** @typedef {{run: string, sites: {key: string, units: number}[]}[]} SitesOfRuns */

/** Rows of the picture. */
const ROWS = 60;
const ROW_NAMES = Array.from({ length: ROWS }, (_, row) => String(row));
/** Share of all entries beyond each end of the picture. */
const OUTERMOST = 0.001;

/**
 * @typedef {object} Spread
 * @property {Float32Array} shares Share of a step's entries, `ROWS` rows from the largest value down, one column a step.
 * @property {Float32Array} tones The same as what colours show: against the fullest row of the step; NaN where none lie.
 * @property {number} low
 * @property {number} high
 */

/**
 * @typedef {object} Card
 * @property {HTMLElement} element
 * @property {HTMLElement} head
 * @property {import('./heatmap.js').Heatmap} heatmap
 * @property {{answer: Histograms, spread: Spread} | null} now
 */

/**
 * @returns {{element: HTMLElement, update: (scene: Scene, sites: SitesOfRuns) => void}}
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
  const cards = createCards(columns, createCard);

  return {
    element,
    update(scene, sitesOfRuns) {
      const found = sitesOfRuns.slice(0, MOST_COLUMNS).flatMap(({ run, sites }) => {
        const info = scene.chosen.find((known) => known.run === run);
        return sites.flatMap((site) => {
          const answer = info && scene.answers.histograms(run, info.stamp, site.key).value;
          return info && answer && answer.steps.length ? [{ info, site, answer }] : [];
        });
      });
      element.hidden = found.length === 0;
      cards.arrange(found.map(({ info, site }) => JSON.stringify([info.run, site.key])));
      const limits = found.map(({ answer }) => limitsOf(answer));
      const low = Math.min(...limits.map((limit) => limit.low));
      const high = Math.max(...limits.map((limit) => limit.high));
      const spreads = found.map(({ answer }) => spreadOf(answer, low, high));
      found.forEach(({ info, site, answer }, index) => {
        const card = cards.get(JSON.stringify([info.run, site.key]));
        const spread = spreads[index];
        if (!card || !spread) return;
        card.now = { answer, spread };
        card.head.replaceChildren(
          runTitle(scene, info, site.key !== scene.state.layer && h('span', { class: 'note' }, name(site.key))),
        );
        card.heatmap.update(
          {
            columns: answer,
            labels: ROW_NAMES,
            scale: { low, high },
            values: spread.tones,
            range: { low: 0, high: 1, log: false },
            axis: scene.state.axis,
            theme: scene.theme,
            marks: [],
            height: 180,
            bare: true,
          },
          scene.state.step,
        );
      });
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
  };
  card.element.append(head, card.heatmap.element);
  return card;
}

/** @type {WeakMap<Histograms, {low: number, high: number}>} */
const limits = new WeakMap();

/**
 * Return the values between which all but the outermost entries lie, so that one of them does not squeeze the others.
 * @param {Histograms} answer
 * @returns {{low: number, high: number}}
 */
function limitsOf(answer) {
  const before = limits.get(answer);
  if (before) return before;
  /** @type {[number, number, number][]} */
  const bins = [];
  for (let at = 0; at < answer.values.length; at += 3) {
    const bin = /** @type {[number, number, number]} */ (/** @type {unknown} */ (answer.values.subarray(at, at + 3)));
    if (bin[2] > 0 && Number.isFinite(bin[0]) && Number.isFinite(bin[1])) bins.push(bin);
  }
  const total = bins.reduce((sum, bin) => sum + bin[2], 0);
  const bound = (/** @type {0 | 1} */ side) => {
    const ordered = [...bins].sort((a, b) => (side === 0 ? a[0] - b[0] : b[1] - a[1]));
    let passed = 0;
    for (const bin of ordered) {
      passed += bin[2];
      if (passed >= OUTERMOST * total) return bin[side];
    }
    return side;
  };
  const [low, high] = [bound(0), bound(1)];
  const found = low < high ? { low, high } : { low: low - 0.5, high: low + 0.5 };
  limits.set(answer, found);
  return found;
}

/** @type {WeakMap<Histograms, Spread>} */
const spreads = new WeakMap();

/**
 * Return the histograms on bins common to all steps; what a bin counts is spread evenly over its width.
 * @param {Histograms} answer
 * @param {number} low
 * @param {number} high
 * @returns {Spread}
 */
function spreadOf(answer, low, high) {
  const before = spreads.get(answer);
  if (before && before.low === low && before.high === high) return before;
  const width = answer.steps.length;
  const shares = new Float32Array(ROWS * width);
  const tones = new Float32Array(ROWS * width);
  for (let column = 0; column < width; column += 1) {
    const rows = sharesOf(answer.values.subarray(column * answer.bins * 3, (column + 1) * answer.bins * 3), low, high);
    const fullest = Math.max(...rows);
    rows.forEach((share, row) => {
      shares[row * width + column] = share;
      // The root keeps thin tails to be seen beside a narrow peak.
      tones[row * width + column] = share > 0 ? Math.sqrt(share / fullest) : NaN;
    });
  }
  const spread = { shares, tones, low, high };
  spreads.set(answer, spread);
  return spread;
}

/**
 * @param {Float32Array} bins Left edge, right edge and count, again and again.
 * @param {number} low
 * @param {number} high
 * @returns {number[]} Share of the entries in each row, from the largest value down.
 */
function sharesOf(bins, low, high) {
  const rows = new Array(ROWS).fill(0);
  const size = (high - low) / ROWS;
  let total = 0;
  for (let at = 2; at < bins.length; at += 3) total += bins[at] || 0;
  for (let at = 0; at < bins.length; at += 3) {
    const [left, right, count] = /** @type {[number, number, number]} */ (
      /** @type {unknown} */ (bins.subarray(at, at + 3))
    );
    if (!(count > 0)) continue;
    const first = Math.min(ROWS - 1, Math.max(0, Math.floor((left - low) / size)));
    const last = Math.min(ROWS - 1, Math.max(first, Math.ceil((right - low) / size) - 1));
    for (let bin = first; bin <= last; bin += 1) {
      const covered = Math.min(right, low + (bin + 1) * size) - Math.max(left, low + bin * size);
      // What lies outside of the picture is counted at its edge.
      const part = first === last ? 1 : Math.max(0, covered) / (right - left);
      rows[ROWS - 1 - bin] += (part * count) / total;
    }
  }
  return rows;
}
