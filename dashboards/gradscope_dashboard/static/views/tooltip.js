// The text beside the pointer over a heatmap: plain text, so that names stay names.

import { h, replaceChildren } from '../dom.js';

const MARGIN = 14;

/** @type {HTMLElement | undefined} */
let tip;

/**
 * Show lines of text beside a place of the page; the first is set off.
 * @param {{x: number, y: number}} at
 * @param {string[]} lines
 */
export function showTip(at, lines) {
  if (tip === undefined) {
    tip = h('div', { class: 'tip', role: 'tooltip' });
    document.body.append(tip);
  }
  replaceChildren(tip, ...lines.map((line) => h('div', null, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = at.x + MARGIN + width > document.documentElement.clientWidth ? at.x - MARGIN - width : at.x + MARGIN;
  const top = at.y + MARGIN + height > document.documentElement.clientHeight ? at.y - MARGIN - height : at.y + MARGIN;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(0, top)}px`;
}

/** Take the text away. */
export function hideTip() {
  if (tip) tip.hidden = true;
}
