// The heading of what belongs to one run: its colour and name.

import { h } from '../dom.js';
import { name } from '../format.js';
import { colourOf } from '../theme.js';

/**
 * @param {import('../types.js').Scene} scene
 * @param {import('../types.js').RunInfo} run
 * @param {...import('../dom.js').Child} more
 * @returns {HTMLElement}
 */
export function runTitle(scene, run, ...more) {
  const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
  dot.style.background = colourOf(scene.theme, scene.state, run.run);
  return h('header', { class: 'run-title' }, dot, h('h3', { title: name(run.run) }, name(run.run)), ...more);
}
