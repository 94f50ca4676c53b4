// Which line is which run: its colour and dash beside its name.

import { h } from '../dom.js';
import { name } from '../format.js';
import { colourOf, DASHES, shapeOf } from '../theme.js';

const STYLES = /** @type {Record<string, string>} */ ({
  solid: 'solid',
  dash: 'dashed',
  dot: 'dotted',
  dashdot: 'dashed',
  longdash: 'dashed',
});

/**
 * @param {import('../types.js').Scene} scene
 * @param {string} run
 * @returns {HTMLElement}
 */
export function legendLine({ state, theme }, run) {
  const line = h('span', { class: 'key', 'aria-hidden': 'true' });
  line.style.borderTop = `3px ${STYLES[shapeOf(DASHES, state, run)] ?? 'solid'} ${colourOf(theme, state, run)}`;
  return h('span', { class: 'legend-run' }, line, name(run));
}
