// Cards side by side, each with a figure: one a key, made when its key comes and taken away when it goes.

import { whenChanged } from '../dom.js';

/**
 * @template {{element: HTMLElement, heatmap: import('./heatmap.js').Heatmap}} C
 * @param {HTMLElement} container
 * @param {() => C} create
 * @returns {{arrange: (keys: string[]) => void, get: (key: string) => C | undefined}}
 */
export function createCards(container, create) {
  /** @type {Map<string, C>} */
  const cards = new Map();
  return {
    arrange: whenChanged((/** @type {string[]} */ keys) => {
      for (const [key, { heatmap }] of cards) {
        if (keys.includes(key)) continue;
        Plotly.purge(heatmap.element);
        cards.delete(key);
      }
      for (const key of keys) if (!cards.has(key)) cards.set(key, create());
      container.replaceChildren(...keys.flatMap((key) => cards.get(key)?.element ?? []));
    }),
    get: (key) => cards.get(key),
  };
}
