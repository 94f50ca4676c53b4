// Which colour of a heatmap is which value, and what is not a value.

import { h } from '../dom.js';
import { number } from '../format.js';
import { SCALE } from '../theme.js';
import { SYMBOLS } from './severity.js';

/**
 * @param {{title: string, unit: string, range: import('../curves.js').Range, gaps: boolean, zeros: boolean}} about
 * @returns {import('../dom.js').Child[]}
 */
export function colourLegend({ title, unit, range, gaps, zeros }) {
  const value = (/** @type {number} */ share) => {
    const place = range.low + share * (range.high - range.low);
    return number(range.log ? 10 ** place : place, unit);
  };
  const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
  bar.style.background = `linear-gradient(to right, ${SCALE.map(([at, colour]) => `${colour} ${100 * at}%`).join(', ')})`;
  return [
    h('span', { class: 'legend-title' }, `${title}${range.log ? ', log scale' : ''}`),
    h('span', { class: 'scale' }, h('span', null, value(0)), bar, h('span', null, value(1))),
    gaps && h('span', null, h('span', { class: 'swatch', 'aria-hidden': 'true' }), 'not recorded, or NaN'),
    zeros && h('span', { class: 'note' }, 'exactly 0: darkest'),
    h('span', { class: 'note' }, `${SYMBOLS.high} ${SYMBOLS.medium} a finding begins`),
  ];
}
