// How bad a finding is, by a word, a symbol and a colour together.

import { h } from '../dom.js';

/** @typedef {import('../types.js').Severity} Severity */

/** @type {Record<Severity, string>} */
export const SYMBOLS = { high: '▲', medium: '◆', low: '●' };

/** What the word says; the same everywhere in gradscope. */
const MEANINGS = {
  high: 'high: the training is failing now',
  medium: 'medium: a part of the network is lost, or will be',
  low: 'low: information',
};

/**
 * @param {Severity} severity
 * @param {{short?: boolean}} [options] `short` leaves the word to the hover text.
 * @returns {HTMLElement}
 */
export function severityMark(severity, { short = false } = {}) {
  return h(
    'span',
    { class: `severity ${severity}`, title: short ? `worst finding: ${MEANINGS[severity]}` : MEANINGS[severity] },
    h('span', { 'aria-hidden': 'true' }, SYMBOLS[severity]),
    h('span', { class: short ? 'hidden-label' : null }, severity),
  );
}
